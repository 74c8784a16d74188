/**
 * The environment of short programs in Go: the compiler and the type-aware part of the linter, kubectl, helm. They
 * collect garbage less often, because they end before their memory matters.
 */
export const goEnvironment: Readonly<Record<string, string>> = { GOGC: "400" };
