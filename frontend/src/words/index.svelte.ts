/** The page's texts in the language of whoever reads it: chosen by hand, else the first that the browser asks for. */

import { en, type Words } from "./en";
import { ru } from "./ru";

const LANGUAGES = { en, ru } as const;
export type Language = keyof typeof LANGUAGES;
export const NAMES: Record<Language, string> = { en: "English", ru: "Русский" };

const KEPT = "stickyfeed language";

class Speech {
  language = $state<Language>(kept() ?? asked());
  readonly words: Words = $derived(LANGUAGES[this.language]);

  choose(language: Language): void {
    this.language = language;
    try {
      localStorage.setItem(KEPT, language);
    } catch {
      // It is asked for again at the next visit.
    }
  }
}

export const speech = new Speech();

/** Each text as it is read, so that whatever shows it changes with the language. */
export const words: Words = new Proxy({} as Words, { get: (_, name) => speech.words[name as keyof Words] });

function kept(): Language | undefined {
  try {
    return known(localStorage.getItem(KEPT) ?? "");
  } catch {
    return undefined;
  }
}

/** navigator.languages is what the browser sends as Accept-Language. */
function asked(): Language {
  for (const tag of navigator.languages) {
    const language = known(tag.slice(0, 2).toLowerCase());
    if (language) return language;
  }
  return "en";
}

function known(tag: string): Language | undefined {
  return tag in LANGUAGES ? (tag as Language) : undefined;
}
