resource "terraform_data" "this" {
  input = "site"
}

output "name" {
  value = terraform_data.this.output
}
