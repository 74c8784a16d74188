import type * as CelModule from "@bufbuild/cel";

/** The CEL evaluator. It takes a tenth of a second to load, so it is loaded with the first rule, not at start. */
export type CelLibrary = typeof CelModule;
