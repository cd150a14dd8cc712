export { Masker } from './masker.ts';
export type { MaskStream } from './masker.ts';
