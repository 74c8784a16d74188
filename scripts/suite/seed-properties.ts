// Preloaded by files with property tests: the same tree gets the same answer. The properties themselves are tried with other seeds by
// `SERIN_PROPERTY_SEED=random`, or by the seed of a report.
import { configureGlobal, readConfigureGlobal } from "fast-check";

const wanted = process.env["SERIN_PROPERTY_SEED"] ?? "1";

if (wanted !== "random") {
  const seed = Number(wanted);
  if (!Number.isSafeInteger(seed)) throw new Error(`SERIN_PROPERTY_SEED is ${wanted}; give a whole number, or random`);
  configureGlobal({ ...readConfigureGlobal(), seed });
}
