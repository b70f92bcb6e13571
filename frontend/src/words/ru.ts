/** Every text of the page in Russian. */

import type { FeedEvent, State } from "#feed";

import type { Words } from "./en";

const plural = new Intl.PluralRules("ru");

/** The form that goes with the number: 1 человек, 2 человека, 5 человек. */
function many(n: number, one: string, few: string, more: string): string {
  const form = plural.select(n);
  return `${n} ${form === "one" ? one : form === "few" ? few : more}`;
}

const did: Record<FeedEvent["type"], string> = {
  login: "теперь в сети",
  logout: "больше не в сети",
  "sign-up": "теперь с нами",
  follow: "теперь читает",
  unfollow: "больше не читает",
  post: "",
  "post-deleted": "",
  "account-deleted": "",
};

const refusals: Record<string, string> = {
  offline: "Сервер недоступен. Попробуйте ещё раз чуть позже.",
  unavailable: "Сейчас это не получится, но ничего не потеряно. Попробуйте чуть позже.",
  busy: "Сервер занят. Попробуйте чуть позже.",
  internal: "Что-то сломалось у нас.",
  "too-many-requests": "Слишком много попыток. Подождите немного.",
  "wrong-credentials": "Неверное имя или пароль.",
  "wrong-password": "Неверный пароль.",
  "username-taken": "Это имя уже занято.",
  "too-many-followees": "Вы читаете столько людей, сколько можно. Сначала перестаньте читать кого-нибудь.",
  "not-found": "Этого больше нет.",
  "invalid username": "Имя — от 3 до 32 латинских букв, цифр, точек, дефисов или подчёркиваний.",
  "invalid password": "Пароль — от 8 до 128 знаков.",
  "invalid passwordConfirm": "Пароли не совпадают.",
  "invalid text": "В записи от 1 до 1000 знаков.",
};

function state(state: State): string {
  const elsewhere = state.tab === "other" ? " · через другую вкладку" : "";
  if (state.phase === "live") return `На связи${state.by === "ws" ? " по WebSocket" : ""}${elsewhere}`;
  if (state.phase === "catching-up") return `Догоняем…${elsewhere}`;
  if (state.phase === "connecting") return "Соединяемся…";
  if (state.phase === "offline") return "Нет сети";
  if (state.phase === "waiting") return `Повтор через ${Math.max(1, Math.round(state.ms / 1000))} с`;
  return state.phase === "ended" && state.reason === "signed-out" ? "Вы вышли" : "Закрыто";
}

export const ru: Words = {
  name: "stickyfeed",
  promise: "Всё, что делают люди, которых вы читаете, — в ту же секунду.",
  loading: "Одну минуту…",
  again: "Ещё раз",
  close: "Закрыть",
  language: "Язык",
  skip: "Сразу к ленте",

  signIn: "Войти",
  signUp: "Создать аккаунт",
  signOut: "Выйти",
  noAccount: "Впервые здесь?",
  haveAccount: "Уже есть аккаунт?",
  username: "Имя",
  usernameHint: "От 3 до 32 латинских букв, цифр, точек, дефисов или подчёркиваний",
  password: "Пароль",
  passwordHint: "Не меньше 8 знаков",
  passwordAgain: "Пароль ещё раз",
  passwordsDiffer: "Пароли не совпадают.",
  gender: "Пол",
  genders: { "": "Не хочу указывать", f: "Женский", m: "Мужской", x: "Другой" },

  feed: "Лента",
  people: "Люди",
  console: "Консоль",

  compose: "Что происходит?",
  post: "Опубликовать",
  postKeys: "Ctrl + Enter — опубликовать",
  left: (n) => `осталось ${n}`,
  sending: "Отправляем…",
  notSent: "Ещё не отправлено.",
  retry: "Отправить ещё раз",
  discard: "Выбросить",

  emptyFeed: "Пока пусто.",
  emptyFeedHint: "Напишите что-нибудь или начните кого-нибудь читать: всё появится здесь само.",
  fresh: (n) => many(n, "новая", "новые", "новых"),
  freshLong: (n) => `В ленте ${many(n, "новая запись", "новые записи", "новых записей")}`,
  older: "Показать раньше",
  end: "Это всё.",
  remove: "Удалить",
  gap: "Часть событий уже нельзя было доставить по одному. Лента прочитана заново, в ней всё на месте.",
  justNow: "только что",
  did,
  said: (name, text) => `${name}: ${text}`,

  search: "Поиск по имени",
  following: "Вы читаете",
  everybody: "Все",
  you: "вы",
  nobodyFollowed: "Пока никого. Найдите кого-нибудь ниже.",
  nobodyFound: "Никого с таким именем.",
  follow: "Читать",
  unfollow: "Не читать",
  followWhom: (name) => `Читать ${name}`,
  unfollowWhom: (name) => `Не читать ${name}`,
  more: "Показать ещё",

  profile: "Профиль",
  profileOf: (name) => `Профиль: ${name}`,
  joined: (when) => `С нами с ${when}`,
  youFollow: (n) => `Вы читаете ${many(n, "человека", "человек", "человек")}`,
  recently: "Недавнее",
  nothingRecent: "В загруженной части ленты ничего нет.",
  leave: "Удалить аккаунт",
  leaveHint: "Всё, что вы написали, исчезнет сразу и навсегда — и здесь, и у других. Пароль, чтобы подтвердить:",

  pause: "Пауза",
  resume: "Дальше",
  clear: "Очистить",
  filter: "Фильтр",
  heartbeats: "Пульс",
  frames: (shown, all) => (shown === all ? many(all, "кадр", "кадра", "кадров") : `${shown} из ${all}`),
  paused: (n) => `Пауза · прошло ${n}`,
  noFrames: "Здесь появляется каждое сообщение потока — таким, каким пришло.",
  noneMatch: "Таких кадров нет.",

  refusals,
  state,
};
