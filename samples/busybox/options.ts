// Options as busybox reads them: short ones may be joined (-lp 80, -p80), and long ones take `=` or the next word.

export interface Words {
  /** The values of options that take one, by name. A repeated option has several values. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly flags: ReadonlySet<string>;
  readonly rest: readonly string[];
}

export class UsageError extends Error {}

/**
 * Reads options. `flags`, `valued` and `last` are names without dashes. An option in `last` takes all words that
 * follow.
 */
export function readWords(
  words: readonly string[],
  { flags, valued, last = [] }: { flags: readonly string[]; valued: readonly string[]; last?: readonly string[] },
): Words {
  const values = new Map<string, string[]>();
  const seen = new Set<string>();
  const rest: string[] = [];
  const queue = [...words];
  const take = (name: string, joined: string | undefined): void => {
    if (last.includes(name)) {
      values.set(name, [...(joined === undefined ? [] : [joined]), ...queue.splice(0)]);
      return;
    }
    const value = joined ?? queue.shift();
    if (value === undefined) throw new UsageError(`option -${name} needs a value`);
    values.set(name, [...(values.get(name) ?? []), value]);
  };
  for (let word = queue.shift(); word !== undefined; word = queue.shift()) {
    if (word === "--") rest.push(...queue.splice(0));
    else if (!word.startsWith("-") || word === "-") rest.push(word);
    else if (word.startsWith("--") || valued.includes(word.slice(1).split("=", 1)[0] ?? "")) {
      const [name = "", ...joined] = word.replace(/^--?/, "").split("=");
      if (valued.includes(name)) take(name, joined.length === 0 ? undefined : joined.join("="));
      else if (flags.includes(name)) seen.add(name);
      else throw new UsageError(`unrecognized option '${word}'`);
    } else readShort(word.slice(1));
  }
  return { values, flags: seen, rest };

  function readShort(letters: string): void {
    for (let index = 0; index < letters.length; index += 1) {
      const letter = letters[index] ?? "";
      if (valued.includes(letter) || last.includes(letter)) {
        const joined = letters.slice(index + 1);
        take(letter, joined === "" ? undefined : joined);
        return;
      }
      if (!flags.includes(letter)) throw new UsageError(`invalid option -- '${letter}'`);
      // A flag may be given twice, as -ll.
      seen.add(seen.has(letter) ? letter + letter : letter);
    }
  }
}
