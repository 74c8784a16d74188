import { createRequire } from "node:module";
import type * as CelExtensions from "@bufbuild/cel/ext";
import type { CelFunc } from "@bufbuild/cel";
import { cachedCompile, MeteredCel, type CelLibrary, type MeteredProgram } from "../../../../base/cel/index.ts";
import { compilePattern, matchesPattern } from "../formats.ts";
import { kubernetesFunctions } from "./kubernetes-functions.ts";

export interface Cel {
  readonly library: CelLibrary;
  /** Compiles an expression over `self` and `oldSelf`. Throws an Error for invalid CEL. */
  readonly compile: (expression: string) => MeteredProgram;
}

/**
 * The maximum number of cached programs. For comparison, the thousand rules of Gateway API and Istio contain only 134
 * different expressions.
 */
const maxPrograms = 2048;

let loaded: Cel | undefined;

export function loadCel(): Cel {
  loaded ??= load();
  return loaded;
}

function load(): Cel {
  const cel = kubernetesCel(["self", "oldSelf"]);
  return { library: cel.library, compile: cachedCompile(cel, maxPrograms) };
}

/** CEL with the functions that Kubernetes adds. The variables may have any type. */
export function kubernetesCel(
  variables: readonly string[],
  moreFunctions: (library: CelLibrary) => readonly CelFunc[] = () => [],
): MeteredCel {
  const require = createRequire(import.meta.url);
  const library = require("@bufbuild/cel") as CelLibrary;
  const { strings } = require("@bufbuild/cel/ext") as typeof CelExtensions;
  return new MeteredCel(library, {
    variables: Object.fromEntries(variables.map((name) => [name, library.CelScalar.DYN])),
    funcs: [...strings, ...kubernetesFunctions(library), ...moreFunctions(library)],
    re2: {
      compile(pattern) {
        const compiled = compilePattern(pattern);
        if (compiled === undefined) throw new Error(`"${pattern}" is not a regular expression`);
        return { test: (text) => matchesPattern(compiled, text) };
      },
    },
  });
}
