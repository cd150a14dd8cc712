import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { makeWorkshop, startStateServer } from '../tools.fixture.ts';
import type { StateServer, Workshop } from '../tools.fixture.ts';

jest.setTimeout(300_000);

/** A directory as `filesystem_mirror` wants it, with unpacked hashicorp/local 1.4.0. */
function unpackedMirror(): string {
  const mirror = process.env['WINDLASS_PROVIDER_MIRROR'];
  if (mirror) return mirror;
  throw new Error(
    'the provider mirror is not here: run the tests with ./windlass test, or set WINDLASS_PROVIDER_MIRROR',
  );
}

const registries = { opentofu: 'registry.opentofu.org', terraform: 'registry.terraform.io' } as const;

describe.each(['opentofu', 'terraform'] as const)('%s with providers', (type) => {
  let shop: Workshop;
  let state: StateServer;

  /** Packed packages have to be unpacked by `init`, as after a download; unpacked ones would only be linked to. */
  function packedMirror(directory: string): string {
    const found = execFileSync('find', ['-L', unpackedMirror(), '-name', 'terraform-provider-local_v*'], {
      encoding: 'utf8',
    });
    const binary = found.split('\n')[0] ?? '';
    const version = /local_v([\d.]+)/.exec(binary)?.[1] ?? '';
    const platform = /([a-z]+_[a-z0-9]+)\/terraform-provider-local_v/.exec(binary)?.[1] ?? '';
    const home = join(directory, 'mirror', registries[type], 'hashicorp', 'local');
    mkdirSync(home, { recursive: true });
    const script =
      'import sys,zipfile\nz=zipfile.ZipFile(sys.argv[1],"w")\ni=zipfile.ZipInfo(sys.argv[3]);i.external_attr=0o755<<16\nz.writestr(i,open(sys.argv[2],"rb").read())\nz.close()';
    const zip = join(home, `terraform-provider-local_${version}_${platform}.zip`);
    execFileSync('python3', ['-c', script, zip, binary, `terraform-provider-local_v${version}`]);
    const config = join(directory, 'cli.tfrc');
    writeFileSync(
      config,
      `disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = "${join(directory, 'mirror')}"\n  }\n}\n`,
    );
    return config;
  }

  function files(shopDirectory: string, name: string): Record<string, string> {
    return {
      'main.tf': `resource "local_file" "f" {\n  content  = "${name}"\n  filename = "${shopDirectory}/files/${name}"\n}\noutput "f" { value = local_file.f.filename }\n`,
    };
  }

  beforeEach(async () => {
    const draft = makeWorkshop();
    shop = makeWorkshop({ directory: draft.directory, cliConfig: packedMirror(draft.directory) });
    state = await startStateServer();
  });
  afterEach(async () => {
    await state.close();
    shop.clean();
  });

  // Terraform has no encryption of its own.
  (type === 'opentofu' ? test : test.skip)('a stack whose code runs in init shares nothing with others', async () => {
    const encryption = `terraform {
  encryption {
    key_provider "pbkdf2" "key" { passphrase = "correct horse battery staple" }
    method "aes_gcm" "it" { keys = key_provider.pbkdf2.key }
    state { method = method.aes_gcm.it }
  }
}
`;
    const own = shop.source('own', { ...files(shop.directory, 'own'), 'encryption.tf': encryption });
    const run = shop.run({ type, source: own, environment: 'own', state: state.url });
    await shop.runners.get(type).prepare(run);
    await shop.runners.get(type).deploy(run);
    expect(readFileSync(join(shop.directory, 'files', 'own'), 'utf8')).toBe('own');
    expect(existsSync(join(shop.directory, 'cache', 'tofu', 'providers'))).toBe(false);
    // Nor later, when the same work directory is used without it.
    const plain = shop.source('plain', files(shop.directory, 'plain'));
    const next = shop.run({ type, source: plain, environment: 'own', state: null });
    await shop.runners.get(type).prepare(next);
    expect(next.trace.text).toMatch(/Installing hashicorp\/local/);
  });

  test('many stacks at once on a cold cache install a provider once and never disturb each other', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `s${i}`);
    const runs = names.map((name) =>
      shop.run({ type, source: shop.source(name, files(shop.directory, name)), environment: name, state: state.url }),
    );
    const runner = shop.runners.get(type);
    await Promise.all(
      runs.map(async (run) => {
        await runner.prepare(run);
        await runner.deploy(run);
      }),
    );
    expect(runs.filter((run) => /Installing hashicorp\/local/.test(run.trace.text)).length).toBe(1);
    for (const name of names) expect(readFileSync(join(shop.directory, 'files', name), 'utf8')).toBe(name);
    for (const run of runs) expect(run.trace.stages).toEqual(['init', 'apply!']);
    // One real copy on the machine, links everywhere else.
    const copies = execFileSync(
      'find',
      [
        join(shop.directory, 'cache'),
        join(shop.directory, 'work'),
        '-type',
        'f',
        '-name',
        'terraform-provider-local_v*',
      ],
      { encoding: 'utf8' },
    );
    expect(copies.trim().split('\n').length).toBe(1);
    expect(copies).toContain(join(shop.directory, 'cache', 'tofu', 'providers'));

    // Nothing is installed or even asked for again.
    const again = shop.run({
      type,
      source: join(shop.directory, 'sources', 's0'),
      environment: 's0',
      state: state.url,
    });
    await runner.prepare(again);
    expect((await runner.deploy(again)).plan?.hasChanges).toBe(false);
    expect(again.trace.stages).toEqual(['apply!']);
  });

  test('drift is what a redeploy would change because reality moved, and looking for it changes nothing', async () => {
    const runner = shop.runners.get(type);
    const fixture = { type, source: shop.source('d', files(shop.directory, 'd')), state: state.url };
    const run = shop.run(fixture);
    await runner.prepare(run);
    await runner.deploy(run);
    const before = state.states.get('/env');
    const writes = state.requests.length;
    expect(await runner.detectDrift(run)).toMatchObject({
      drifted: false,
      plan: { plan: { hasChanges: false, resources: [] } },
    });
    rmSync(join(shop.directory, 'files', 'd'));
    const drift = await runner.detectDrift(run);
    expect(drift.drifted).toBe(true);
    expect(drift.plan.plan.counts).toEqual({ add: 1, change: 0, destroy: 0 });
    expect(drift.plan.plan.resources).toEqual([
      expect.objectContaining({
        address: 'local_file.f',
        action: 'delete',
        before: expect.objectContaining({ content: 'd' }),
        after: null,
        planned: expect.objectContaining({ content: 'd' }),
      }),
    ]);
    expect(existsSync(join(shop.directory, 'files', 'd'))).toBe(false);
    expect(state.states.get('/env')).toBe(before);
    expect(state.requests.slice(writes).filter((request) => !request.startsWith('GET'))).toEqual([]);
    await runner.deploy(run);
    expect(readFileSync(join(shop.directory, 'files', 'd'), 'utf8')).toBe('d');
  });

  test('a provider that only the state needs is installed when the tool asks for it', async () => {
    const runner = shop.runners.get(type);
    const run = shop.run({ type, source: shop.source('one', files(shop.directory, 'x')), state: state.url });
    await runner.prepare(run);
    await runner.deploy(run);
    const bare = shop.run({
      type,
      source: shop.source('two', { 'main.tf': 'output "o" { value = 1 }\n' }),
      state: state.url,
    });
    const elsewhere = { ...bare, workDirectory: join(shop.directory, 'work', 'elsewhere') };
    await runner.prepare(elsewhere);
    expect((await runner.deploy(elsewhere)).plan?.counts).toEqual({ add: 0, change: 0, destroy: 1 });
    expect(bare.trace.stages).toEqual(['apply!', 'init', 'apply!']);
    expect(existsSync(join(shop.directory, 'files', 'x'))).toBe(false);
  });

  test('a provider that cannot be had is an error that names it', async () => {
    const runner = shop.runners.get(type);
    const run = shop.run({
      type,
      source: shop.source('n', { 'main.tf': 'resource "nothing_here" "x" {}\n' }),
      state: state.url,
    });
    await expect(runner.prepare(run)).rejects.toMatchObject({
      error: { class: 'provider', message: expect.stringContaining('hashicorp/nothing') },
    });
  });

  test('links into a mirror are shared as links, and dead ones are cleared away', async () => {
    const mirror = join(shop.directory, 'unpacked');
    cpSync(unpackedMirror(), mirror, { recursive: true, dereference: true });
    const cliConfig = join(shop.directory, 'unpacked.tfrc');
    writeFileSync(cliConfig, `provider_installation {\n  filesystem_mirror {\n    path = "${mirror}"\n  }\n}\n`);
    const linked = makeWorkshop({ directory: shop.directory, cliConfig });
    const runner = linked.runners.get(type);
    const run = linked.run({ type, source: shop.source('l', files(shop.directory, 'l')), state: state.url });
    await runner.prepare(run);
    await runner.deploy(run);
    const home = join(shop.directory, 'cache', 'tofu', 'providers', registries[type], 'hashicorp', 'local');
    const version = readdirSync(home).filter((name) => !name.startsWith('.'))[0] ?? '';
    const platform = readdirSync(join(home, version)).filter((name) => !name.endsWith('.lock'))[0] ?? '';
    const entry = join(home, version, platform);
    if (lstatSync(entry).isSymbolicLink()) expect(readlinkSync(entry)).toContain(mirror);
    rmSync(entry, { recursive: true });
    const other = linked.run({
      type,
      source: shop.source('l', files(shop.directory, 'l')),
      environment: 'other',
      state: state.url,
    });
    await runner.prepare(other);
    expect((await runner.deploy(other)).outputs.length).toBe(1);
  });
});
