import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { readLinkedFile, readPlainFile } from '../../process/index.ts';
import type { ToolName } from './programs.ts';
import { literalString, parseHcl } from './hcl.ts';
import type { HclBody } from './hcl.ts';

/** What can be known of a stack without starting a tool. */
export interface StackFacts {
  /** Type of the backend the stack brings; `cloud` for a cloud block; null when it brings none. */
  readonly backend: string | null;
  /** A `local` backend whose file would lie beside the code: in a private directory that can be lost. */
  readonly besideCode: boolean;
  /** Names of the root module's variables. */
  readonly variables: ReadonlySet<string>;
  /** Nothing has to be installed: no providers but the built-in one, no modules. */
  readonly selfContained: boolean;
  readonly usesProviders: boolean;
  /** Equal for stacks that need the same providers; null when modules from elsewhere may need more. */
  readonly providerKey: string | null;
  readonly usesWorkspaceName: boolean;
  /** Its settings for encryption may name a program, which `init` runs as well. */
  readonly encrypts: boolean;
  /** Changes when a file changes that `init` reads. */
  readonly fingerprint: string;
  readonly hasFiles: boolean;
}

interface ModuleFacts {
  backend: string | null;
  besideCode: boolean;
  readonly variables: Set<string>;
  readonly providers: Set<string>;
  /** Sources of called modules; null for one that is not a plain string. */
  readonly modules: (string | null)[];
  usesWorkspaceName: boolean;
  encrypts: boolean;
  files: number;
}

function providerOf(type: string, explicit: string | undefined): string | null {
  if (explicit !== undefined) return explicit.split('.')[0] ?? explicit;
  // terraform_data and terraform_remote_state belong to the provider inside the tool.
  return type.startsWith('terraform_') ? null : (type.split('_')[0] ?? type);
}

/** Of an expression: it may lead anywhere. */
const unknownPath = '/';

function setBackend(facts: ModuleFacts, type: string | undefined, path: string | null): void {
  facts.backend = type ?? 'unknown';
  facts.besideCode = type === 'local' && (path === null || !isAbsolute(path));
}

function readTerraformBlock(body: HclBody, facts: ModuleFacts): void {
  for (const block of body.blocks) {
    if (block.type === 'backend') {
      const { attributes } = block.body;
      const path = attributes.has('path') ? (literalString(attributes.get('path')) ?? unknownPath) : null;
      setBackend(facts, block.labels[0], attributes.has('workspace_dir') ? unknownPath : path);
    } else if (block.type === 'cloud') facts.backend = 'cloud';
    else if (block.type === 'required_providers') {
      for (const [name, value] of block.body.attributes) facts.providers.add(`${name}=${value.replace(/\s+/g, ' ')}`);
    }
  }
}

function readHclFile(text: string, facts: ModuleFacts): void {
  for (const block of parseHcl(text).blocks) {
    switch (block.type) {
      case 'terraform':
        readTerraformBlock(block.body, facts);
        break;
      case 'variable':
        if (block.labels[0] !== undefined) facts.variables.add(block.labels[0]);
        break;
      case 'provider':
        if (block.labels[0] !== undefined) facts.providers.add(block.labels[0]);
        break;
      case 'resource':
      case 'data':
      case 'ephemeral': {
        const provider = providerOf(block.labels[0] ?? 'unknown', block.body.attributes.get('provider'));
        if (provider !== null) facts.providers.add(provider);
        break;
      }
      case 'check':
        for (const data of block.body.blocks) {
          const provider = data.type === 'data' ? providerOf(data.labels[0] ?? 'unknown', undefined) : null;
          if (provider !== null) facts.providers.add(provider);
        }
        break;
      case 'module':
        facts.modules.push(literalString(block.body.attributes.get('source')));
        break;
      default:
    }
  }
}

function entries(value: unknown): [string, unknown][] {
  const objects = Array.isArray(value) ? value : [value];
  return objects.flatMap((object: unknown) =>
    typeof object === 'object' && object !== null ? Object.entries(object) : [],
  );
}

function readJsonFile(text: string, facts: ModuleFacts): void {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    // The tool will say what is wrong; until then assume that it needs everything.
    facts.modules.push(null);
    return;
  }
  for (const [type, value] of entries(root)) {
    if (type === 'terraform') {
      for (const [name, inner] of entries(value)) {
        if (name === 'backend') {
          const [type, settings] = entries(inner)[0] ?? [];
          const known = Object.fromEntries(entries(settings));
          const path = typeof known['path'] === 'string' ? known['path'] : null;
          setBackend(facts, type, 'workspace_dir' in known || path?.includes('${') === true ? unknownPath : path);
        } else if (name === 'cloud') facts.backend = 'cloud';
        else if (name === 'required_providers') {
          for (const [provider, wanted] of entries(inner)) facts.providers.add(`${provider}=${JSON.stringify(wanted)}`);
        }
      }
    } else if (type === 'variable') {
      for (const [name] of entries(value)) facts.variables.add(name);
    } else if (type === 'provider') {
      for (const [name] of entries(value)) facts.providers.add(name);
    } else if (type === 'resource' || type === 'data' || type === 'ephemeral') {
      for (const [name, inner] of entries(value)) {
        for (const [, attributes] of entries(inner)) {
          const explicit = entries(attributes).find(([key]) => key === 'provider')?.[1];
          const provider = providerOf(name, typeof explicit === 'string' ? explicit : undefined);
          if (provider !== null) facts.providers.add(provider);
        }
      }
    } else if (type === 'module') {
      for (const [, inner] of entries(value)) {
        const source = entries(inner).find(([key]) => key === 'source')?.[1];
        facts.modules.push(typeof source === 'string' ? source : null);
      }
    } else if (type === 'check') facts.modules.push(null);
  }
}

/** Configuration files of a module directory that this tool reads, sorted. */
function configurationFiles(directory: string, tool: ToolName): string[] {
  const names = readdirSync(directory, { withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.') && !/~$|^#.*#$/.test(entry.name))
    .map((entry) => entry.name)
    .sort();
  const isTerraform = (name: string) => /\.tf(\.json)?$/.test(name);
  if (tool === 'terraform') return names.filter(isTerraform);
  const all = new Set(names);
  // A .tofu file stands in for the .tf file of the same name.
  return names.filter(
    (name) =>
      /\.tofu(\.json)?$/.test(name) || (isTerraform(name) && !all.has(name.replace(/\.tf(?=(\.json)?$)/, '.tofu'))),
  );
}

function isLocal(source: string): boolean {
  return /^\.\.?(\/|$)/.test(source);
}

/**
 * Reads a stack and the local modules it calls.
 * @param ignore Name of a file in the stack's directory that is not the user's.
 */
export function readStackFacts(directory: string, tool: ToolName, ignore: string): StackFacts {
  const hash = createHash('sha256');
  const seen = new Set<string>();
  const providers = new Set<string>();
  let foreignModules = false;
  let anyModules = false;

  function readModule(path: string): ModuleFacts {
    const facts: ModuleFacts = {
      backend: null,
      besideCode: false,
      variables: new Set(),
      providers,
      modules: [],
      usesWorkspaceName: false,
      encrypts: false,
      files: 0,
    };
    seen.add(path);
    let names: string[] = [];
    try {
      names = configurationFiles(path, tool);
    } catch {
      foreignModules = true;
    }
    for (const name of names) {
      if (path === directory && name === ignore) continue;
      const text = readLinkedFile(join(path, name))?.toString('utf8');
      if (text === undefined) continue;
      facts.files++;
      hash.update(`${path}/${name}\0${text.length}\0${text}`);
      if (/\bterraform\.workspace\b/.test(text)) facts.usesWorkspaceName = true;
      if (/\bencryption\b/.test(text)) facts.encrypts = true;
      if (name.endsWith('.json')) readJsonFile(text, facts);
      else readHclFile(text, facts);
    }
    for (const source of facts.modules) {
      anyModules = true;
      if (source === null || !isLocal(source)) foreignModules = true;
      else if (!seen.has(resolve(path, source))) readModule(resolve(path, source));
    }
    return facts;
  }

  const root = readModule(directory);
  const lockFile = join(directory, '.terraform.lock.hcl');
  hash.update(readPlainFile(lockFile) ?? 'no lock file');
  const wanted = [...providers].sort();
  return {
    backend: root.backend,
    besideCode: root.besideCode,
    variables: root.variables,
    selfContained: !anyModules && wanted.length === 0,
    usesProviders: foreignModules || wanted.length > 0,
    providerKey:
      foreignModules || wanted.length === 0 ? null : createHash('sha256').update(wanted.join('\n')).digest('hex'),
    usesWorkspaceName: root.usesWorkspaceName,
    encrypts: root.encrypts,
    fingerprint: hash.digest('hex'),
    hasFiles: root.files > 0,
  };
}
