/** Every text of the page, so that another language is another file like this one. */

import type { FeedEvent } from "./feed/events";
import type { State } from "./feed/feed";

export const words = {
  name: "stickyfeed",
  promise: "See what the people you follow do, the moment they do it.",
  loading: "One moment…",
  again: "Try again",

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
  left: (n: number) => `${n} left`,

  emptyFeed: "Nothing here yet. Write something, or follow somebody: what they do appears here by itself.",
  older: "Show older",
  remove: "Delete",
  gap: "The stream had a gap; the list was read anew.",
  did: {
    login: "signed in",
    logout: "signed out",
    "sign-up": "joined",
    follow: "now follows",
    unfollow: "no longer follows",
    post: "",
    "post-deleted": "",
    "account-deleted": "",
  } satisfies Record<FeedEvent["type"], string>,

  search: "Search by name",
  following: "You follow",
  everybody: "Everybody",
  you: "you",
  nobodyFollowed: "Nobody yet.",
  nobodyFound: "Nobody by that name.",
  follow: "Follow",
  unfollow: "Unfollow",
  followWhom: (name: string) => `Follow ${name}`,
  unfollowWhom: (name: string) => `Unfollow ${name}`,
  more: "Show more",

  pause: "Pause",
  resume: "Resume",
  clear: "Clear",
  paused: (n: number) => `Paused; ${n} went by`,
  noFrames: "Each message of the stream appears here as it came.",

  state: (state: State): string => {
    if (state.phase === "live") return state.by === "ws" ? "Live over WebSocket" : "Live";
    if (state.phase === "connecting") return "Connecting…";
    if (state.phase === "waiting") return `Disconnected; next attempt in ${Math.max(1, Math.round(state.ms / 1000))} s`;
    return state.reason === "signed-out" ? "Signed out" : "Closed";
  },
};
