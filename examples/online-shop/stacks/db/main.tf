variable "vpc_id" {
  type = string
}

variable "subnet_ids" {
  type = list(string)
}

variable "engine_version" {
  type    = string
  default = "17"
}

resource "terraform_data" "subnet_group" {
  input = { vpc = var.vpc_id, subnets = var.subnet_ids }
}

resource "terraform_data" "instance" {
  input = {
    engine       = "postgres ${var.engine_version}"
    subnet_group = terraform_data.subnet_group.id
  }
}

output "endpoint" {
  value = "db-${substr(terraform_data.instance.id, 0, 8)}.shop.internal:5432"
}
