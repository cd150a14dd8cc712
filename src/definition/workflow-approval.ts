/** The `approval` block of a node: a decision between other nodes, instead of something that is deployed. */
import type { ApprovalGate, InlineTemplate } from '../model/index.ts';
import { approvalGateSchema } from '../model/index.ts';
import { quote } from './text.ts';
import type { FileContext } from './workflow-context.ts';
import type { Fields } from './yaml-reader.ts';
import { readDuration, readFields, readInteger, readText } from './yaml-reader.ts';
import type { YamlNode } from './yaml-tree.ts';

/** Of the keys of a node, those that a decision can have. */
const own = new Set(['name', 'approval', 'needs', 'disabled']);
const longestMessage = 2000;

/** Null when it cannot be used; the reasons are then among the problems. */
export function readApproval(context: FileContext, fields: Fields, of: string): InlineTemplate | null {
  const gate = fields.get('approval');
  if (gate === undefined) return null;
  const before = context.problems.count;
  for (const field of fields.values()) {
    if (!own.has(field.key) && field.key !== 'templateName' && field.key !== 'vcs')
      context.problems.add(
        field.keyPosition,
        `${of} is an approval and cannot have ${quote(field.key)}; it takes name, needs and disabled`,
      );
  }
  const approval = readGate(context, gate.value, `approval of ${of}`);
  if (context.problems.count > before) return null;
  // It has no code: its place is the file that asks for it.
  return { type: 'approval', source: { kind: 'own', path: '.' }, config: { approval } };
}

/** A text is what is asked; a mapping says by how many, and for how long, too. */
function readGate(context: FileContext, node: YamlNode, what: string): ApprovalGate {
  if (node.kind === 'scalar' && node.value === true) return {};
  if (node.kind === 'scalar') {
    const message = readText(context, node, { what, longest: longestMessage });
    return message === null ? {} : { message };
  }
  const fields = readFields(context, node, { what, known: ['message', 'required', 'expires'] });
  const message = fields.get('message');
  const required = fields.get('required');
  const expires = fields.get('expires');
  return approvalGateSchema.catch({}).parse({
    message:
      (message && readText(context, message.value, { what: `message in ${what}`, longest: longestMessage })) ??
      undefined,
    required:
      (required && readInteger(context, required.value, { what: `required in ${what}`, minimum: 1, maximum: 20 })) ??
      undefined,
    expiresSeconds:
      (expires &&
        readDuration(context, expires.value, { what: `expires in ${what}`, minimum: 60, maximum: 31_536_000 })) ??
      undefined,
  });
}
