// Writes .env for docker-compose.yml with secrets of its own. Never replaces one: the old key would be lost, and with
// it everything that was encrypted under it.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const file = resolve(process.argv[2] ?? join(root, '.env'));

const text = `# Secrets of this installation, read by docker compose. Keep a copy of WINDLASS_ENCRYPTION_KEY in a safe place: without
# it nobody can read the stored secrets, plans and states. docker-compose.env.example explains each line.
POSTGRES_PASSWORD=${randomBytes(24).toString('hex')}
WINDLASS_ENCRYPTION_KEY=${randomBytes(32).toString('base64')}
`;

try {
  writeFileSync(file, text, { mode: 0o600, flag: 'wx' });
  console.log(`${file} written; next: docker compose up --detach --scale worker=2`);
} catch (error) {
  if (error.code !== 'EEXIST') throw error;
  console.error(`${file} is there already and is left as it is`);
  process.exitCode = 1;
}
