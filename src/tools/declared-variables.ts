import type { NodeType } from '../model/index.ts';
import { readStackFacts } from './opentofu/stack-facts.ts';

/** Names of the variables that a stack's code declares; null when its tool takes any, or it cannot be told. */
export function declaredVariables(type: NodeType, directory: string): ReadonlySet<string> | null {
  if (type !== 'opentofu' && type !== 'terraform') return null;
  const facts = readStackFacts(directory, type === 'opentofu' ? 'tofu' : 'terraform', '');
  return facts.hasFiles ? facts.variables : null;
}
