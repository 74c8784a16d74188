import { readdirSync, readFileSync } from "node:fs";

/** A parser that reads untrusted bytes. */
export interface FuzzTarget {
  readonly title: string;
  /** Inputs that are well formed, or nearly so. */
  readonly seeds: readonly (Buffer | string)[];
  /** Words of the format to insert, in addition to those that the parser's sources contain. */
  readonly words?: readonly string[];
  /** The size of the largest input in bytes. If absent, {@link defaultMaxBytes}. */
  readonly maxBytes?: number;
  /**
   * Runs the parser on the input. Throws when the parser broke a rule. An error of the parser's declared type is a
   * refusal, and not a fault.
   */
  readonly run: (input: Buffer) => void | Promise<void>;
}

export const defaultMaxBytes = 2048;

/** Returns the names of all targets. Each target has a file of its name. */
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

export function corpusFile(name: string): URL {
  return new URL(`corpus/${name}.json`, import.meta.url);
}

/**
 * Returns the recorded inputs, or none for a target without a corpus. In the file, each character stands for one byte.
 */
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

/** Throws if a rule does not hold that must hold for every input. */
export function expect(holds: boolean, rule: string): asserts holds {
  if (!holds) throw new Error(`broken rule: ${rule}`);
}
