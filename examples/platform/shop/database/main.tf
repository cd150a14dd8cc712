variable "subnet_ids" {
  type = list(string)
}

resource "terraform_data" "database" {
  input = { subnets = var.subnet_ids, size = "small" }
}

output "endpoint" {
  value = "db-${substr(terraform_data.database.id, 0, 8)}.internal:5432"
}
