import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ToolName } from './programs.ts';
import { readStackFacts } from './stack-facts.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'windlass-facts-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function facts(files: Record<string, string>, tool: ToolName = 'tofu', path = '.') {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  return readStackFacts(join(root, path), tool, 'windlass_backend.tf');
}

test.each([
  ['resource "terraform_data" "a" {}', true],
  ['data "terraform_remote_state" "r" {\n  backend = "local"\n}', true],
  ['terraform {\n  required_version = ">= 1.0"\n}', true],
  ['resource "local_file" "f" {}', false],
  ['data "http" "h" {}', false],
  ['ephemeral "random_password" "p" {}', false],
  ['provider "aws" {}', false],
  ['terraform {\n  required_providers {\n    aws = { source = "hashicorp/aws" }\n  }\n}', false],
  ['module "m" {\n  source = "./m"\n}', false],
  ['check "c" {\n  data "http" "h" {}\n}', false],
  ['resource "terraform_data" "a" {\n  provider = other.x\n}', false],
])('%s needs nothing installed: %s', (text, selfContained) => {
  expect(facts({ 'main.tf': text })).toMatchObject({ selfContained, backend: null, hasFiles: true });
});

test.each([
  [{ 'a.tf': 'terraform {\n  backend "s3" {}\n}' }, 's3'],
  [{ 'a.tf': 'terraform {\n  cloud {}\n}' }, 'cloud'],
  [{ 'a.tf': '', 'b_override.tf': 'terraform {\n  backend "gcs" {}\n}' }, 'gcs'],
  [{ 'a.tf.json': '{"terraform": {"backend": {"pg": {}}}}' }, 'pg'],
  [{ 'a.tf.json': '{"terraform": [{"backend": [{"pg": {}}]}]}' }, 'pg'],
  [{ 'a.tf': '# terraform { backend "s3" {} }' }, null],
  [{ 'windlass_backend.tf': 'terraform {\n  backend "http" {}\n}' }, null],
])('the backend of %j is %s', (files, backend) => {
  expect(facts(files as Record<string, string>).backend).toBe(backend);
});

test.each([
  [{ 'a.tf': 'terraform {\n  backend "local" {}\n}' }, true],
  [{ 'a.tf': 'terraform {\n  backend "local" {\n    path = "states/a.tfstate"\n  }\n}' }, true],
  [{ 'a.tf': 'terraform {\n  backend "local" {\n    path = "/srv/a.tfstate"\n  }\n}' }, false],
  [{ 'a.tf': 'terraform {\n  backend "local" {\n    path = var.where\n  }\n}' }, false],
  [{ 'a.tf': 'terraform {\n  backend "local" {\n    workspace_dir = "/srv/states"\n  }\n}' }, false],
  [{ 'a.tf': 'terraform {\n  backend "pg" {}\n}' }, false],
  [{ 'a.tf.json': '{"terraform": {"backend": {"local": {}}}}' }, true],
  [{ 'a.tf.json': '{"terraform": [{"backend": [{"local": [{"path": "/srv/a.tfstate"}]}]}]}' }, false],
  [{ 'a.tf.json': '{"terraform": {"backend": {"local": {"path": "${var.where}"}}}}' }, false],
])('a local backend of %j keeps its file beside the code: %s', (files, beside) => {
  expect(facts(files as Record<string, string>).besideCode).toBe(beside);
});

test('variables, also of JSON files, and the use of the workspace name are seen', () => {
  const found = facts({
    'a.tf': 'variable "one" {}\noutput "w" { value = terraform.workspace }',
    'b.tf.json': '{"variable": {"two": {}}}',
  });
  expect([...found.variables].sort()).toEqual(['one', 'two']);
  expect(found.usesWorkspaceName).toBe(true);
});

test('a .tofu file stands in for its .tf file, for OpenTofu alone', () => {
  const files = { 'a.tf': 'terraform {\n  backend "s3" {}\n}', 'a.tofu': 'variable "v" {}' };
  expect(facts(files).backend).toBeNull();
  expect(facts(files, 'terraform').backend).toBe('s3');
});

test('local modules are read, once each, and count for providers and fingerprint', () => {
  const files = {
    'stack/main.tf': 'module "a" {\n  source = "../a"\n}\nmodule "b" {\n  source = "../a"\n}',
    'a/main.tf': 'module "back" {\n  source = "../stack"\n}\nresource "local_file" "f" {}',
  };
  const first = facts(files, 'tofu', 'stack');
  expect(first.providerKey).not.toBeNull();
  expect(first.usesProviders).toBe(true);
  const second = facts({ ...files, 'a/main.tf': `${files['a/main.tf']}\n# more` }, 'tofu', 'stack');
  expect(second.fingerprint).not.toBe(first.fingerprint);
  expect(second.providerKey).toBe(first.providerKey);
});

test('modules from elsewhere may need any provider', () => {
  expect(facts({ 'm.tf': 'module "a" {\n  source = "terraform-aws-modules/vpc/aws"\n}' })).toMatchObject({
    usesProviders: true,
    providerKey: null,
  });
});

test('JSON that cannot be read is left to the tool', () => {
  expect(facts({ 'a.tf.json': '{' }).selfContained).toBe(false);
});

test('a pipe that a tool has left among the code is not waited for', () => {
  execFileSync('mkfifo', [join(root, 'left.tf')]);
  expect(facts({ 'main.tf': 'resource "terraform_data" "a" {}' })).toMatchObject({
    hasFiles: true,
    selfContained: true,
  });
});
