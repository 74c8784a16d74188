/** The text, cut to `maxCharacters` UTF-16 code units and an ellipsis. A cut text never ends in half of a character. */
export function truncated(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text;
  const isSplit = /[\uD800-\uDBFF]$/.test(text.slice(0, maxCharacters));
  return `${text.slice(0, isSplit ? maxCharacters - 1 : maxCharacters)}…`;
}

/** The first names for a message, with the number of the others: `a, b and 3 more`. */
export function firstNames(names: readonly string[], most: number): string {
  const shown = names.slice(0, most).join(", ");
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}

/** A number with its noun: `1 pod`, `2 pods`. `words` is a plural that is not `word` with an `s`. */
export function counted(count: number, word: string, words = `${word}s`): string {
  return `${count} ${count === 1 ? word : words}`;
}

/** A copy of a part of a longer text, such as a scrape. Without the copy, V8 would keep the whole text in memory. */
export function ownCopy(text: string): string {
  return Buffer.from(text, "utf8").toString("utf8");
}

/**
 * The first line of a JSON or YAML parser's message, with its line and column. Leaves out the part of the text that the
 * message quotes, because that may be a token or a key.
 */
export function withoutQuotes(message: string): string {
  const [line = ""] = message.split("\n");
  const place = / at line \d+, column \d+/.exec(line)?.[0] ?? "";
  return line.replace(place, "").replace(/(?<=\S): .*$|, (?:\.\.\.)?".*$|:$/, "") + place;
}

/**
 * A noun with its indefinite article: `a Pod`, `an IstioOperator`, `an HTTPRoute`. An abbreviation gets the article of
 * its first letter's spoken name.
 */
export function withArticle(noun: string): string {
  const isAbbreviation = /^[A-Z](?:[A-Z]|$)/.test(noun);
  const soundsLikeVowel = isAbbreviation ? /^[AEFHILMNORSX]/ : /^(?:[aeio]|u(?!ni|s[aei]|rl))/i;
  return `${soundsLikeVowel.test(noun) ? "an" : "a"} ${noun}`;
}

/** The text as one word of a shell command. It is quoted only if a shell would change it otherwise. */
export function shellWord(text: string): string {
  return /^[\w@.:/+=,-]+$/.test(text) ? text : shellQuoted(text);
}

/** The text in single quotes, so that a POSIX shell reads it as one word and expands nothing in it. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** The number of edits (insert, delete, replace, swap of neighbours) from one word to another. */
function distance(from: string, to: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1];
      let best = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (swapped) best = Math.min(best, (before[column - 2] ?? 0) + 1);
      current.push(best);
    }
    before = previous;
    previous = current;
  }
  return previous[to.length] ?? 0;
}

/** Longer names get no suggestion, because the author of an object may use names of a megabyte. */
const longestCompared = 100;

/**
 * The known name that a misspelt one most likely means. Undefined if none is similar. Upper and lower case are equal.
 */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  if (name.length > longestCompared) return undefined;
  const wanted = name.toLowerCase();
  const limit = Math.max(2, Math.floor(name.length / 3));
  let best: { readonly candidate: string; readonly steps: number } | undefined;
  for (const candidate of known) {
    const lower = candidate.toLowerCase();
    const isPart = Math.min(wanted.length, lower.length) >= 3 && (lower.startsWith(wanted) || wanted.startsWith(lower));
    const steps = isPart ? Math.min(distance(wanted, lower), 2) : distance(wanted, lower);
    if (steps <= limit && (best === undefined || steps < best.steps)) best = { candidate, steps };
  }
  return best?.candidate;
}

/**
 * Characters that are invisible or change the writing direction, so that a text can look like another one. Joiners are
 * not included, because some writing systems need them.
 */
const disguises = String.raw`\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff`;
const controls = new RegExp(String.raw`[\p{Cc}${disguises}]`, "gu");

/**
 * The text with its control characters written out, for example as `\x1b`. A terminal obeys control characters, so a
 * name with some could overwrite other lines, or write into the clipboard of the person who lists it.
 */
export function withoutControls(text: string): string {
  return text.replaceAll(controls, writtenOut);
}

const escape = String.fromCharCode(0x1b);
/**
 * What the command line may send: the colours that it uses itself. Otherwise one control character, which must be
 * written out.
 */
const ownColours = new RegExp(
  String.raw`${escape}\[(?:0|1|2|31|32|33|1;31)m|\r\n|(?![\n\t])[\p{Cc}${disguises}]`,
  "gu",
);
/** How the command line may move the cursor: only at the beginning of an output, to redraw its own lines. */
const ownMovement = new RegExp(String.raw`^(?:(?:${escape}\[\d+A)?\r${escape}\[[JK]|${escape}\[\?25[lh]$)`, "u");

/**
 * One output of the command line for a terminal. Control characters are written out, except those that Serin's command
 * line itself sends, where it sends them. Texts of objects could otherwise move the cursor and replace other lines.
 */
export function terminalText(text: string): string {
  const movement = ownMovement.exec(text)?.[0] ?? "";
  const rest = text.slice(movement.length);
  return movement + rest.replaceAll(ownColours, (found) => (found.length > 1 ? found : writtenOut(found)));
}

function writtenOut(control: string): string {
  const code = control.codePointAt(0) ?? 0;
  return code > 0xff ? `\\u${code.toString(16)}` : `\\x${code.toString(16).padStart(2, "0")}`;
}
