import { isTree } from "../json.ts";
import { failed } from "./malformed.ts";

/** The maximum length of the rendered text, and of each text that a function returns. */
export const maxCharacters = 1_048_576;
/** The maximum depth of templates that call each other. */
const maxCalls = 50;
/** The maximum depth of blocks and calls together. */
const maxDepth = 200;
/** The maximum depth of a value. Kubernetes' objects have about a dozen levels. */
const maxLevels = 100;
/** The maximum work of one rendering. Each character and each element costs 1, and each step {@link stepCost}. */
const maxWork = 16_777_216;
const stepCost = 16;

/**
 * Counts the work of one rendering, and throws an error if it is too much. Without it, a short template could run for
 * hours or fill the memory.
 */
export class RenderBudget {
  #work = 0;
  #calls = 0;
  #depth = 0;

  step(): void {
    this.#spend(stepCost);
  }

  argument(value: unknown): void {
    if (typeof value === "string") this.#spend(value.length);
    else this.#tree(value);
  }

  /**
   * Counts a function's result with everything in it. A list can contain the previous list twice in each step, so the
   * size of the result says little about its content.
   */
  result(value: unknown): void {
    const characters = typeof value === "string" ? value.length : this.#tree(value);
    checkLength(characters);
    if (typeof value === "string") this.#spend(characters);
  }

  /** Counts the elements of a value, and returns the number of its characters. */
  #tree(value: unknown): number {
    let characters = 0;
    const left: (readonly [value: unknown, level: number])[] = [[value, 0]];
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      const [current, level] = next;
      this.#spend(1);
      if (typeof current === "string") characters += current.length;
      const inner: readonly unknown[] = Array.isArray(current)
        ? current
        : isTree(current)
          ? Object.values(current)
          : [];
      if (inner.length === 0) continue;
      if (level >= maxLevels) throw failed(`produces a value that is nested more than ${maxLevels} levels deep`);
      this.#spend(inner.length);
      for (const element of inner) left.push([element, level + 1]);
    }
    return characters;
  }

  within<Result>(run: () => Result): Result {
    if (this.#depth >= maxDepth) throw failed(`is nested more than ${maxDepth} levels deep`);
    this.#depth += 1;
    const result = run();
    this.#depth -= 1;
    return result;
  }

  /** Runs the body of a template that another one calls. */
  call<Result>(name: string, run: () => Result): Result {
    if (this.#calls >= maxCalls) throw failed(`"${name}" calls itself without end`);
    this.#calls += 1;
    const result = this.within(run);
    this.#calls -= 1;
    return result;
  }

  #spend(units: number): void {
    this.#work += units;
    if (this.#work > maxWork) throw failed("takes too much work: it repeats too often, or produces too long texts");
  }
}

/** Throws an error if a text would be too long. Functions call it before they make the text. */
export function checkLength(characters: number): void {
  if (characters > maxCharacters) throw failed(`produces more than ${maxCharacters} characters`);
}
