# Template "configuration-service": this file has no inputs, because the format of env0.workflow.yml knows none.
resource "terraform_data" "main" {
  input = "configuration-service"
}

resource "terraform_data" "detail" {
  input = terraform_data.main.id
}

output "id" {
  value = terraform_data.main.id
}
