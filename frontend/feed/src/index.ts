export type { FeedEvent, Frame, Gap, Person, Snapshot } from "./events.js";
export { Feed } from "./feed.js";
export type { FeedOptions, State } from "./options.js";
