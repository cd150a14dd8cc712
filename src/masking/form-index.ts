import type { SecretForm } from './secret-forms.ts';

/** A form with its characters that are not blank, by which it is found. */
interface Entry {
  readonly solid: string;
  readonly form: SecretForm;
}

/** A tree over the first characters of the forms. A node is divided only when many forms share what leads to it. */
interface Node {
  /** Of a leaf all its forms; of a divided node those that end there. */
  entries: Entry[];
  children: Map<number, Node> | null;
}

const mostInLeaf = 8;
const deepest = 256;

export interface FormIndex {
  add(form: SecretForm, solid: string): void;
  /**
   * Calls `visit` with every form that may stand at this place of a text without blanks, or that may begin there when
   * the text ends too early to say. `visit` answers false when it wants no more of the second kind; those of the first
   * come before them, since they are shorter.
   */
  visitAt(solid: string, at: number, visit: (form: SecretForm) => boolean): void;
}

export function makeFormIndex(): FormIndex {
  const root: Node = { entries: [], children: new Map() };

  function put(node: Node, entry: Entry, depth: number): void {
    if (node.children !== null && depth < entry.solid.length) {
      const code = entry.solid.charCodeAt(depth);
      let child = node.children.get(code);
      if (!child) node.children.set(code, (child = { entries: [], children: null }));
      put(child, entry, depth + 1);
      return;
    }
    node.entries.push(entry);
    if (node.children === null && node.entries.length > mostInLeaf && depth < deepest) {
      const divided = node.entries;
      node.entries = [];
      node.children = new Map();
      for (const one of divided) put(node, one, depth);
    }
  }

  /** Answers false when `visit` wants no more. */
  function visitAll(node: Node, visit: (form: SecretForm) => boolean): boolean {
    for (const { form } of node.entries) if (!visit(form)) return false;
    for (const child of node.children?.values() ?? []) if (!visitAll(child, visit)) return false;
    return true;
  }

  return {
    add: (form, solid) => put(root, { form, solid }, 0),
    visitAt(solid, at, visit) {
      let node = root;
      for (let depth = 0; ; depth++) {
        if (node.children !== null && at + depth >= solid.length) {
          visitAll(node, visit);
          return;
        }
        for (const { form } of node.entries) visit(form);
        const child = node.children?.get(solid.charCodeAt(at + depth));
        if (!child) return;
        node = child;
      }
    },
  };
}
