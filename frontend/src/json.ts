/** JSON for people to read: broken into lines, and told apart by what each part is. */

export type Part = { kind: "key" | "text" | "number" | "word" | "mark"; text: string };

const PARTS = /"(?:\\.|[^"\\])*"(?=(\s*:)?)|-?\d[\d.eE+-]*|\b(?:true|false|null)\b|[^"\d\-tfn]+|./gs;

/** One line for each value. Text that is no JSON stays as it is. */
export function inLines(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2);
  } catch {
    return text;
  }
}

/** Put together again they are the text, whatever it is. */
export function parts(text: string): Part[] {
  return Array.from(text.matchAll(PARTS), ([part, colon]) => ({ kind: kindOf(part, colon !== undefined), text: part }));
}

function kindOf(part: string, isKey: boolean): Part["kind"] {
  if (/^".*"$/s.test(part)) return isKey ? "key" : "text";
  if (/^-?\d/.test(part)) return "number";
  return /^(true|false|null)$/.test(part) ? "word" : "mark";
}
