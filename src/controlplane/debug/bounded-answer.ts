import { json, type HttpAnswer } from "../serve/index.ts";

/** The maximum number of entries in one answer. In larger meshes, the request must name a namespace. */
const maxListed = 20_000;

class TooMany extends Error {}

export class Budget {
  #left = maxListed;

  take(count = 1): void {
    this.#left -= count;
    if (this.#left < 0) throw new TooMany();
  }
}

/** Refuses an answer with too many entries, and hints at a narrower request. */
export function bounded(answer: (budget: Budget) => unknown): HttpAnswer {
  try {
    return json(answer(new Budget()));
  } catch (error) {
    if (!(error instanceof TooMany)) throw error;
    return {
      status: 413,
      body: `there are more than ${maxListed} entries; select one namespace with ?namespace=, or one proxy with ?proxyID=\n`,
    };
  }
}

/** Whether the request wants objects of this namespace. It does unless it names another one by `?namespace=`. */
export function isWanted(url: URL, namespace: string): boolean {
  const wanted = url.searchParams.get("namespace");
  return wanted === null || wanted === namespace;
}
