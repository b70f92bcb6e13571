/** Every text of the page in English. Another language is another file like this one, named in `index.svelte.ts`. */

import type { FeedEvent, State } from "#feed";

import { count } from "./count";

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

const ours = "The page asked for something wrong. Load it again; it may be an old one.";

/** What the API refuses, by its code; its own words are for programmers. */
const refusals: Record<string, string> = {
  offline: "The server cannot be reached. Try again in a moment.",
  unavailable: "This cannot be done right now; nothing is lost. Try again in a moment.",
  busy: "The server is busy. Try again in a moment.",
  internal: "This failed by a fault of ours.",
  "too-many-requests": "Too many tries. Wait a little.",
  timeout: "That took too long. Try again in a moment.",
  "too-slow": "That took too long. Try again in a moment.",
  "bad-gateway": "The server does not answer right now. Try again in a moment.",
  "gateway-timeout": "The server takes too long right now. Try again in a moment.",
  "session-ended": "You were signed out. Sign in again.",
  "refresh-invalid": "You have been signed in for long. Sign in again.",
  "refresh-missing": "You are not signed in.",
  "refresh-reused": "Your session was used elsewhere, so it was ended to be safe. Sign in again.",
  "token-missing": "You are not signed in.",
  "token-invalid": "Your session is not valid any more. Sign in again.",
  "token-expired": "Your session has ended. Sign in again.",
  "token-ambiguous": ours,
  "edge-only": ours,
  origin: "The page was opened at another address than the server’s. Open it at its own.",
  forbidden: "This is not allowed.",
  "bad-request": ours,
  "malformed-json": ours,
  "unknown-field": ours,
  "method-not-allowed": ours,
  "body-too-large": "That is too long.",
  "self-follow": "Nobody can follow themselves.",
  janitor: "The janitor’s account stays.",
  "set-back": "The server is being repaired: nothing can be changed for a while. What you have not sent yet stays here.",
  "key-reused": "This was sent before with other words. Discard it and write it again.",
  invalid: ours,
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
  if (state.phase === "live") return `Live${state.by === "ws" ? " over WebSocket" : ""}`;
  if (state.phase === "catching-up") return "Catching up…";
  if (state.phase === "connecting") return "Connecting…";
  if (state.phase === "offline") return "Offline";
  if (state.phase === "waiting") return "Reconnecting";
  return state.phase === "ended" && state.reason === "signed-out" ? "Signed out" : "Closed";
}

export const en = {
  name: "stickyfeed",
  promise: "See what the people you follow do, the moment they do it.",
  loading: "One moment…",
  again: "Try again",
  againByItself: "It is tried again by itself.",
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
  over: (n: number) => `${n} too many`,
  sending: "Sending…",
  notSent: "Not sent yet.",
  notSentOld: "Not sent by itself: it is over a day old, and may have been posted after all. Look before you send it again.",
  unsent: (n: number) => `${n === 1 ? "A post has" : `${n} posts have`} not been sent, and would be lost.`,
  signOutAll: "Sign out all the same",
  retry: "Send again",
  discard: "Discard",

  emptyFeed: "Nothing here yet.",
  emptyFeedHint: "Write something, or follow somebody: what they do appears here by itself.",
  suggestions: "People you could follow",
  fresh: (n: number) => `${n} new`,
  renewed: "Updated",
  freshLong: (n: number) => `${n} new in the feed`,
  older: "Show older",
  end: "That is all there is.",
  full: "This is as far back as the page goes.",
  toTop: "Back to the top",
  remove: "Delete",
  removeSure: "Delete for good?",
  gap: "Something was missed that could no longer be delivered one by one. The list was read anew and is complete.",
  gapWaits: "Something was missed that could no longer be delivered one by one. The complete list waits at the top.",
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
  isFollowed: "Following",
  followWhom: (name: string) => `Follow ${name}`,
  unfollowWhom: (name: string) => `Unfollow ${name}`,
  more: "Show more",

  profile: "Profile",
  profileOf: (name: string) => `Profile of ${name}`,
  joined: (when: string) => `Joined ${when}`,
  followers: (n: number) => `${count("en", n)} ${n === 1 ? "follower" : "followers"}`,
  follows: (n: number) => `follows ${count("en", n)}`,
  posts: "Posts",
  noPosts: "Nothing yet.",
  leave: "Delete account",
  leaveHint: "Everything you wrote goes at once and for ever, here and on the pages of others. Your password, to be sure:",

  pause: "Pause",
  resume: "Resume",
  clear: "Clear",
  filter: "Filter",
  heartbeats: "Heartbeats",
  frames: (shown: number, all: number) => `${shown === all ? "" : `${shown} of `}${all} ${all === 1 ? "frame" : "frames"}`,
  paused: (n: number) => `Paused · ${n} more came`,
  noFrames: "Each message of the stream appears here as it came.",
  noneMatch: "No frame matches.",

  refusals,
  state,
  viaAnotherTab: " · via another tab",
  inSeconds: (n: number) => ` in ${n} s`,
  tryNow: "Try now",
};

export type Words = typeof en;
