variable "vpc_id" {
  type = string
}

variable "subnet_ids" {
  type = list(string)
}

variable "node_count" {
  type    = number
  default = 2
}

resource "terraform_data" "cluster" {
  input = { name = "shop", vpc = var.vpc_id }
}

resource "terraform_data" "node_group" {
  input = {
    cluster = terraform_data.cluster.id
    subnets = var.subnet_ids
    size    = var.node_count
  }
}

resource "terraform_data" "node" {
  count = var.node_count
  input = "${terraform_data.node_group.id}/${count.index}"
}

output "cluster" {
  value = {
    name       = terraform_data.cluster.output.name
    endpoint   = "https://${substr(terraform_data.cluster.id, 0, 8)}.eks.shop.internal"
    node_count = var.node_count
  }
}
