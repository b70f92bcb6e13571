/** Every text of the page in Russian. */

import type { FeedEvent, State } from "#feed";

import { count, MOST } from "./count";
import type { Words } from "./en";

const plural = new Intl.PluralRules("ru");

/** The form that goes with the number: 1 человек, 2 человека, 5 человек. */
function many(n: number, one: string, few: string, more: string): string {
  const form = plural.select(Math.min(n, MOST));
  return `${count("ru", n)} ${form === "one" ? one : form === "few" ? few : more}`;
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

const ours = "Страница попросила что-то не то. Загрузите её заново: возможно, она устарела.";

const refusals: Record<string, string> = {
  offline: "Сервер недоступен. Попробуйте ещё раз чуть позже.",
  unavailable: "Сейчас это не получится, но ничего не потеряно. Попробуйте чуть позже.",
  busy: "Сервер занят. Попробуйте чуть позже.",
  internal: "Что-то сломалось у нас.",
  "too-many-requests": "Слишком много попыток. Подождите немного.",
  timeout: "Это заняло слишком много времени. Попробуйте чуть позже.",
  "too-slow": "Это заняло слишком много времени. Попробуйте чуть позже.",
  "bad-gateway": "Сервер сейчас не отвечает. Попробуйте чуть позже.",
  "gateway-timeout": "Сервер сейчас отвечает слишком долго. Попробуйте чуть позже.",
  "session-ended": "Вы вышли. Войдите ещё раз.",
  "refresh-invalid": "Вы вошли очень давно. Войдите ещё раз.",
  "refresh-missing": "Вы не вошли.",
  "refresh-reused": "Ваш сеанс использовали где-то ещё, поэтому он завершён. Войдите ещё раз.",
  "token-missing": "Вы не вошли.",
  "token-invalid": "Ваш сеанс больше не действует. Войдите ещё раз.",
  "token-expired": "Ваш сеанс закончился. Войдите ещё раз.",
  "token-ambiguous": ours,
  "edge-only": ours,
  origin: "Страница открыта не по адресу сервера. Откройте её по его адресу.",
  forbidden: "Это запрещено.",
  "bad-request": ours,
  "malformed-json": ours,
  "unknown-field": ours,
  "method-not-allowed": ours,
  "body-too-large": "Это слишком длинно.",
  "self-follow": "Нельзя читать самого себя.",
  janitor: "Аккаунт смотрителя остаётся.",
  "set-back": "Сервер чинят: пока ничего нельзя изменить. Неотправленное останется здесь.",
  "key-reused": "Это уже было отправлено с другим текстом. Выбросьте и напишите заново.",
  invalid: ours,
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
  if (state.phase === "live") return `На связи${state.by === "ws" ? " по WebSocket" : ""}`;
  if (state.phase === "catching-up") return "Догоняем…";
  if (state.phase === "connecting") return "Соединяемся…";
  if (state.phase === "offline") return "Нет сети";
  if (state.phase === "waiting") return "Повтор";
  return state.phase === "ended" && state.reason === "signed-out" ? "Вы вышли" : "Закрыто";
}

export const ru: Words = {
  name: "stickyfeed",
  promise: "Всё, что делают люди, которых вы читаете, — в ту же секунду.",
  loading: "Одну минуту…",
  again: "Ещё раз",
  againByItself: "Попробуем ещё раз сами.",
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
  over: (n) => many(n, "лишний", "лишних", "лишних"),
  sending: "Отправляем…",
  notSent: "Ещё не отправлено.",
  notSentOld: "Само уже не отправится: прошло больше суток, и запись, возможно, всё-таки опубликована. Проверьте, прежде чем отправлять.",
  unsent: (n: number) => `${many(n, "запись не отправлена и пропадёт", "записи не отправлены и пропадут", "записей не отправлено, и они пропадут")}.`,
  signOutAll: "Всё равно выйти",
  retry: "Отправить ещё раз",
  discard: "Выбросить",

  emptyFeed: "Пока пусто.",
  emptyFeedHint: "Напишите что-нибудь или начните кого-нибудь читать: всё появится здесь само.",
  suggestions: "Кого можно почитать",
  fresh: (n) => many(n, "новая", "новые", "новых"),
  renewed: "Обновлено",
  freshLong: (n) => `В ленте ${many(n, "новая запись", "новые записи", "новых записей")}`,
  older: "Показать раньше",
  end: "Это всё.",
  full: "Дальше в прошлое страница не идёт.",
  toTop: "Наверх",
  remove: "Удалить",
  removeSure: "Удалить навсегда?",
  gap: "Часть событий уже нельзя было доставить по одному. Лента прочитана заново, в ней всё на месте.",
  gapWaits: "Часть событий уже нельзя было доставить по одному. Полная лента ждёт наверху.",
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
  isFollowed: "Вы читаете",
  followWhom: (name) => `Читать ${name}`,
  unfollowWhom: (name) => `Не читать ${name}`,
  more: "Показать ещё",

  profile: "Профиль",
  profileOf: (name) => `Профиль: ${name}`,
  joined: (when) => `С нами с ${when}`,
  followers: (n) => many(n, "читатель", "читателя", "читателей"),
  follows: (n) => `читает ${many(n, "человека", "человек", "человек")}`,
  posts: "Записи",
  noPosts: "Пока ничего.",
  leave: "Удалить аккаунт",
  leaveHint: "Всё, что вы написали, исчезнет сразу и навсегда — и здесь, и у других. Пароль, чтобы подтвердить:",

  pause: "Пауза",
  resume: "Дальше",
  clear: "Очистить",
  filter: "Фильтр",
  heartbeats: "Пульс",
  frames: (shown, all) => (shown === all ? many(all, "кадр", "кадра", "кадров") : `${shown} из ${all}`),
  paused: (n) => `Пауза · пришло ещё ${n}`,
  noFrames: "Здесь появляется каждое сообщение потока — таким, каким пришло.",
  noneMatch: "Таких кадров нет.",

  refusals,
  state,
  viaAnotherTab: " · через другую вкладку",
  inSeconds: (n) => ` через ${n} с`,
  tryNow: "Сейчас",
};
