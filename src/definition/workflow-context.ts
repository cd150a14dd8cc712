import type { ReaderContext } from './yaml-reader.ts';

/** What the readers of one workflow file share. */
export interface FileContext extends ReaderContext {
  /** The file may hold what only Windlass knows. */
  readonly windlass: boolean;
  /** Where the file lies inside its source; code beside it is reached from there. */
  readonly directory: string;
}
