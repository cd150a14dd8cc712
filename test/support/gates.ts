import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestProject } from './project.ts';
import { stackPaths } from './stack-paths.ts';
import { toolPath } from './tools.ts';

/** Places where a run can be held: calls of tools, and the create and the destroy of a resource. */
export const gateNames = ['git', 'init', 'plan', 'create', 'end', 'destroy'] as const;
export type GateName = (typeof gateNames)[number];

/** A stack finds its gates by this file beside its code. */
const addressFile = 'gates.address';

/** Shell that waits while the gate is closed, and says that somebody stands before it. */
const waits = (gates: string, name: string): string =>
  `while [ -e "${gates}/${name}.closed" ]; do : > "${gates}/${name}.reached"; sleep 0.05; done`;

/**
 * Programs that stand for `tofu` and `git`: the real ones, which wait first while the gate of their stage is closed. `end`
 * is behind an apply that has done all its work and has not yet said so.
 */
export function makeGatedTools(): { readonly env: Record<string, string>; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), 'windlass-gates-'));
  const tofu = `#!/bin/sh
gates=$(cat ${addressFile} 2>/dev/null) || exec '${toolPath('tofu')}' "$@"
case " $* " in
*" init "*) ${waits('$gates', 'init')} ;;
*" plan "*) ${waits('$gates', 'plan')} ;;
*" apply "*)
  if [ -e "$gates/end.closed" ]; then
    '${toolPath('tofu')}' "$@"
    code=$?
    ${waits('$gates', 'end')}
    exit $code
  fi ;;
esac
exec '${toolPath('tofu')}' "$@"
`;
  const git = `#!/bin/sh
for word in "$@"; do
  case $word in */source) gates=\${word%/source}/journal; ${waits('${gates#file://}', 'git')} ;; esac
done
exec '${toolPath('git')}' "$@"
`;
  mkdirSync(join(directory, 'bin'));
  writeFileSync(join(directory, 'bin', 'tofu'), tofu, { mode: 0o755 });
  writeFileSync(join(directory, 'bin', 'git'), git, { mode: 0o755 });
  return {
    env: {
      WINDLASS_TOFU: join(directory, 'bin', 'tofu'),
      PATH: `${join(directory, 'bin')}:${process.env['PATH'] ?? ''}`,
      // Stands where the sandbox hides it, as the stand-in is what counts as the tool.
      WINDLASS_STACK_PATHS: stackPaths(`${dirname(toolPath('tofu'))}:ro`),
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Writes a stack that stops at the gates of its project: it needs `init`, and its resource says what is done to it. */
export function gatedStack(project: TestProject, name: string): void {
  const { journal } = project;
  const say = (what: string, gate: GateName): string =>
    JSON.stringify(`echo ${what} >> ${journal}/${name}; ${waits(journal, gate)}`);
  project.write(`stacks/${name}/${addressFile}`, journal);
  project.write(`stacks/${name}/part/main.tf`, 'output "text" { value = "made" }\n');
  project.write(
    `stacks/${name}/main.tf`,
    `module "part" { source = "./part" }
resource "terraform_data" "this" {
  input = module.part.text
  provisioner "local-exec" { command = ${say('apply', 'create')} }
  provisioner "local-exec" {
    when    = destroy
    command = ${say('destroy', 'destroy')}
  }
}
output "value" { value = terraform_data.this.output }
`,
  );
}

const fileOf = (project: TestProject, gate: GateName, what: string): string => join(project.journal, `${gate}.${what}`);

export function closeGate(project: TestProject, gate: GateName): void {
  writeFileSync(fileOf(project, gate, 'closed'), '');
}
export function openGates(project: TestProject): void {
  for (const gate of gateNames) rmSync(fileOf(project, gate, 'closed'), { force: true });
}
export const isAtGate = (project: TestProject, gate: GateName): boolean => existsSync(fileOf(project, gate, 'reached'));

/** Process id of the tool that works for a deployment, or of the git that reads the project. Linux only. */
export function toolAtGate(project: TestProject, deploymentId: string): number | null {
  const read = (pid: string, file: string): string[] => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0');
    } catch {
      return [];
    }
  };
  const found = readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    const args = read(pid, 'cmdline');
    const program = args.slice(0, 2).find((arg) => /\/(tofu|git)$/.test(arg));
    if (program === undefined) return false;
    return program.endsWith('/git')
      ? args.some((arg) => arg.endsWith(project.directory))
      : read(pid, 'environ').includes(`WINDLASS_DEPLOYMENT_ID=${deploymentId}`);
  });
  // The shell of a gate forks all the time, and looks like itself until its child is another program.
  const parentOf = (pid: string): string => /^PPid:\s*(\d+)/m.exec(read(pid, 'status')[0] ?? '')?.[1] ?? '';
  const [pid, ...others] = found.filter((one) => !found.includes(parentOf(one)));
  if (others.length > 0) throw new Error(`one tool should stand there, not ${found.length}`);
  return pid === undefined ? null : Number(pid);
}
