variable "subnets" {
  type = list(string)
}

variable "replicas" {
  type = number
}

resource "terraform_data" "app" {
  count = var.replicas
  input = { subnet = var.subnets[count.index % length(var.subnets)], number = count.index }
}

output "placed_in" {
  value = [for app in terraform_data.app : app.output.subnet]
}
