export { chooseIsolation } from './choose.ts';
export type { IsolationSettings } from './choose.ts';
export { chownTree } from './user.ts';
export { withoutIsolation } from './isolation.ts';
export type { Call, ConfinedCall, Isolation, IsolationWay, StackPath, View } from './isolation.ts';
