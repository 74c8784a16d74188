import { readdirSync, readFileSync } from "node:fs";

/** A parser that reads untrusted bytes. */
export interface FuzzTarget {
  /** A title for the log. */
  readonly title: string;
  /** Inputs that are well formed, or nearly so. */
  readonly seeds: readonly (Buffer | string)[];
  /** Words of the format to insert, in addition to those that the parser's sources contain. */
  readonly words?: readonly string[];
  /** The largest input. If absent, {@link defaultMaxBytes}. */
  readonly maxBytes?: number;
  /**
   * Runs the parser on the input. Throws when the parser broke a rule. An error of the parser's declared type is a
   * refusal, and not a fault.
   */
  readonly run: (input: Buffer) => void | Promise<void>;
}

export const defaultMaxBytes = 2048;

/** The names of all targets. Each has its own file. */
export function targetNames(): string[] {
  return readdirSync(new URL("targets/", import.meta.url))
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -".ts".length))
    .toSorted();
}

export async function loadTarget(name: string): Promise<FuzzTarget> {
  const { target } = (await import(new URL(`targets/${name}.ts`, import.meta.url).href)) as { target: FuzzTarget };
  return target;
}

/** The file with a target's recorded inputs. */
export function corpusFile(name: string): URL {
  return new URL(`corpus/${name}.json`, import.meta.url);
}

/** The recorded inputs, one byte a character. Empty for a target without a corpus. */
export function readCorpus(name: string): Buffer[] {
  let text: string;
  try {
    text = readFileSync(corpusFile(name), "utf8");
  } catch {
    return [];
  }
  return (JSON.parse(text) as string[]).map((bytes) => Buffer.from(bytes, "latin1"));
}

/** Ignores an error of a declared type, and rethrows any other. */
export function expectRefusal(error: unknown, ...declared: readonly (new (...args: never[]) => Error)[]): void {
  if (!declared.some((type) => error instanceof type)) throw error;
}

/** Asserts a rule that must hold for every input. */
export function expect(holds: boolean, rule: string): asserts holds {
  if (!holds) throw new Error(`broken rule: ${rule}`);
}
