export type { FeedEvent, Frame, Gap, Person, Snapshot } from "./events";
export { Feed, type FeedOptions, type State } from "./feed";
