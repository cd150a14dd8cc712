resource "terraform_data" "this" {
  input = "network"
}

output "name" {
  value = terraform_data.this.output
}
