import { z } from 'zod';
import type { NodeKindDefinition } from '../../src/node/kinds/catalogue.ts';

export const noteSettings = z.strictObject({ file: z.string().min(1), says: z.string().max(100) });

/** A node that writes down in a file that its turn has come. */
export const note: NodeKindDefinition = { name: 'note', title: 'a note', settings: noteSettings };
