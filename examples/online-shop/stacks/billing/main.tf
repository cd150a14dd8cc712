variable "cluster" {
  type = object({ name = string, endpoint = string, node_count = number })
}

variable "database_url" {
  type = string
}

variable "image" {
  type    = string
  default = "shop/billing:1.0.0"
}

resource "terraform_data" "deployment" {
  input = {
    cluster  = var.cluster.endpoint
    image    = var.image
    replicas = min(2, var.cluster.node_count)
    database = var.database_url
  }
}

resource "terraform_data" "service" {
  input = { deployment = terraform_data.deployment.id, port = 8080 }
}

output "url" {
  value = "http://billing.${var.cluster.name}.svc:${terraform_data.service.output.port}"
}
