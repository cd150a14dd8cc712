import { literalString, parseHcl } from './hcl.ts';

function outline(text: string): string[] {
  return parseHcl(text).blocks.map((block) => [block.type, ...block.labels].join(' '));
}

test('blocks are found with their labels, and attributes as they are written', () => {
  const body = parseHcl(`
terraform {
  required_version = ">= 1.6" # comment
  backend "s3" {
    bucket = "b"
  }
}
resource "aws_vpc" "main" { cidr_block = "10.0.0.0/16" }
locals {
  map = {
    a = [1, 2, { b = "}" }]
  }
  after = true
}
variable unquoted {}
`);
  expect(body.blocks.map((block) => [block.type, ...block.labels])).toEqual([
    ['terraform'],
    ['resource', 'aws_vpc', 'main'],
    ['locals'],
    ['variable', 'unquoted'],
  ]);
  expect(body.blocks[0]?.body.blocks[0]).toMatchObject({ type: 'backend', labels: ['s3'] });
  expect(body.blocks[0]?.body.attributes.get('required_version')).toBe('">= 1.6" # comment');
  expect(body.blocks[2]?.body.attributes.has('after')).toBe(true);
});

test('what looks like a block in comments, strings and heredocs is none', () => {
  expect(
    outline(`
# backend "s3" {}
// backend "s3" {}
/* terraform {
  backend "s3" {} */
locals {
  text = "terraform { backend \\"s3\\" {} }"
  nested = "a \${ upper("} backend \\"x\\" {") } b"
  escaped = "$\${ not a template"
  more = <<-EOT
    terraform {
      backend "gcs" {}
    }
    EOT
  other = <<EOT
EOT is not the end
  EOT
  last = 1
}
output "o" {
  value = "x"
}
`),
  ).toEqual(['locals', 'output o']);
});

test('files that no tool would take are read without failing', () => {
  for (const text of [
    'resource "x" {',
    '}}}} resource "a" "b" {}',
    '"',
    'a = <<EOT\nnever ended',
    '= = = {',
    '/* open',
    '{'.repeat(5000),
    '"${'.repeat(3000),
  ]) {
    expect(() => parseHcl(text)).not.toThrow();
  }
  expect(outline('}}}} resource "a" "b" {}')).toEqual(['resource a b']);
  expect(outline('\uFEFFresource "a" "b" {}\r\nvariable "v" {\r\n}\r\n')).toEqual(['resource a b', 'variable v']);
});

test('only a plain string is a literal', () => {
  expect(literalString('"./modules/a"')).toBe('./modules/a');
  expect(literalString('"${path.module}/a"')).toBeNull();
  expect(literalString('var.x')).toBeNull();
  expect(literalString(undefined)).toBeNull();
});
