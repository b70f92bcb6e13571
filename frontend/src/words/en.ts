/** Every text of the page in English. Another language is another file like this one, named in `index.svelte.ts`. */

import type { FeedEvent, State } from "#feed";

const did: Record<FeedEvent["type"], string> = {
  login: "signed in",
  logout: "signed out",
  "sign-up": "joined",
  follow: "now follows",
  unfollow: "no longer follows",
  post: "",
  "post-deleted": "",
  "account-deleted": "",
};

/** What the API refuses, by its code; its own words are for programmers. */
const refusals: Record<string, string> = {
  offline: "The server cannot be reached. Try again in a moment.",
  unavailable: "This cannot be done right now; nothing is lost. Try again in a moment.",
  busy: "The server is busy. Try again in a moment.",
  internal: "This failed by a fault of ours.",
  "too-many-requests": "Too many tries. Wait a little.",
  "wrong-credentials": "The name or the password is wrong.",
  "wrong-password": "The password is wrong.",
  "username-taken": "Somebody has this name already.",
  "too-many-followees": "You follow as many people as one may. Stop following somebody first.",
  "not-found": "There is no such thing any more.",
  "invalid username": "A name has 3 to 32 letters a to z, digits, dots, dashes or underscores.",
  "invalid password": "A password has 8 to 128 characters.",
  "invalid passwordConfirm": "The two passwords differ.",
  "invalid text": "A post has 1 to 1000 characters.",
};

function state(state: State): string {
  const elsewhere = state.tab === "other" ? " · via another tab" : "";
  if (state.phase === "live") return `Live${state.by === "ws" ? " over WebSocket" : ""}${elsewhere}`;
  if (state.phase === "catching-up") return `Catching up…${elsewhere}`;
  if (state.phase === "connecting") return "Connecting…";
  if (state.phase === "offline") return "Offline";
  if (state.phase === "waiting") return `Reconnecting in ${Math.max(1, Math.round(state.ms / 1000))} s`;
  return state.phase === "ended" && state.reason === "signed-out" ? "Signed out" : "Closed";
}

export const en = {
  name: "stickyfeed",
  promise: "See what the people you follow do, the moment they do it.",
  loading: "One moment…",
  again: "Try again",
  close: "Close",
  language: "Language",
  skip: "Skip to the feed",

  signIn: "Sign in",
  signUp: "Create account",
  signOut: "Sign out",
  noAccount: "New here?",
  haveAccount: "Have an account?",
  username: "Username",
  usernameHint: "3 to 32 letters, digits, dots, dashes or underscores",
  password: "Password",
  passwordHint: "At least 8 characters",
  passwordAgain: "Password again",
  passwordsDiffer: "The two passwords differ.",
  gender: "Gender",
  genders: { "": "I’d rather not say", f: "Female", m: "Male", x: "Another" },

  feed: "Feed",
  people: "People",
  console: "Console",

  compose: "What is happening?",
  post: "Post",
  postKeys: "Ctrl + Enter posts",
  left: (n: number) => `${n} left`,
  sending: "Sending…",
  notSent: "Not sent yet.",
  retry: "Send again",
  discard: "Discard",

  emptyFeed: "Nothing here yet.",
  emptyFeedHint: "Write something, or follow somebody: what they do appears here by itself.",
  fresh: (n: number) => `${n} new`,
  freshLong: (n: number) => `${n} new in the feed`,
  older: "Show older",
  end: "That is all there is.",
  remove: "Delete",
  gap: "Something was missed that could no longer be delivered one by one. The list was read anew and is complete.",
  justNow: "just now",
  did,
  said: (name: string, text: string) => `${name}: ${text}`,

  search: "Search by name",
  following: "You follow",
  everybody: "Everybody",
  you: "you",
  nobodyFollowed: "Nobody yet. Find somebody below.",
  nobodyFound: "Nobody by that name.",
  follow: "Follow",
  unfollow: "Unfollow",
  followWhom: (name: string) => `Follow ${name}`,
  unfollowWhom: (name: string) => `Unfollow ${name}`,
  more: "Show more",

  profile: "Profile",
  profileOf: (name: string) => `Profile of ${name}`,
  joined: (when: string) => `Joined ${when}`,
  youFollow: (n: number) => (n === 1 ? "You follow 1 person" : `You follow ${n} people`),
  recently: "Recently",
  nothingRecent: "Nothing in the part of the feed that is loaded.",
  leave: "Delete account",
  leaveHint: "Everything you wrote goes at once and for ever, here and on the pages of others. Your password, to be sure:",

  pause: "Pause",
  resume: "Resume",
  clear: "Clear",
  filter: "Filter",
  heartbeats: "Heartbeats",
  frames: (shown: number, all: number) => (shown === all ? `${all} frames` : `${shown} of ${all} frames`),
  paused: (n: number) => `Paused · ${n} went by`,
  noFrames: "Each message of the stream appears here as it came.",
  noneMatch: "No frame matches.",

  refusals,
  state,
};

export type Words = typeof en;
