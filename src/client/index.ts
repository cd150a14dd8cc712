export { createClient } from './client.ts';
export type { AnswerOf, Client, EventOf, Method } from './client.ts';
export { ApiError } from './errors.ts';
export { collect } from './pages.ts';
export type { Listing } from './pages.ts';
export type { StreamEvent, StreamOptions } from './stream.ts';
export type { CallOptions, Server } from './transport.ts';
