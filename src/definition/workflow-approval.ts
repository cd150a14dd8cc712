/** The `approval` block of a node: a decision between other nodes, instead of something that is deployed. */
import type { ApprovalGate } from '../model/index.ts';
import type { Piece } from './schema.ts';
import { inner, mapping, piece, shorthand } from './schema.ts';
import { duration, integer, text } from './schema-values.ts';

const message = text({ longest: 2000 });

const withBounds = mapping(
  {
    message: message.optional(),
    required: integer(1, 20).optional(),
    expires: duration(60, 31_536_000).optional(),
  },
  { naming: (key, name) => `${key} in ${name}` },
  ({ expires, ...gate }): ApprovalGate => ({ ...gate, expiresSeconds: expires }),
);

const question: Piece<ApprovalGate> = piece((part, issues) => {
  if (part.node.kind === 'scalar' && part.node.value === true) return {};
  const asked = inner(message, part, { issues });
  return asked === undefined ? undefined : { message: asked };
});

/** A text is what is asked; a mapping says by how many, and for how long, too; `true` says nothing more. */
export const gate = shorthand(question, withBounds);
