// What every part needs: errors, logs, clocks, backoff, drain, environment variables. It imports no other part.
export {
  alternativeNames,
  certificateBlocks,
  certificateFingerprint,
  certificateValidity,
  type AlternativeName,
} from "./certificate-text.ts";
export { Backoff, type BackoffOptions } from "./backoff.ts";
export { AgingCache, BoundedCache, moduleCache, moduleCacheSizes } from "./bounded-cache.ts";
export { BoundedQueue } from "./bounded-queue.ts";
export { clientNetwork } from "./client-network.ts";
export {
  contained,
  containedErrors,
  containErrors,
  containing,
  containingClock,
  logContained,
  type ReportContained,
} from "./containment.ts";
export { ConnectionLimit, limitConnections, connectionsToEnd } from "./connection-limit.ts";
export { afterRunning, rfc3339Micros, rfc3339Seconds, systemClock, threadCpuTimeMs, type Clock } from "./clock.ts";
export { aborted, onAbort, ShutdownController, shutdownOnSignals, type Shutdown } from "./drain.ts";
export {
  envBoolean,
  envInteger,
  envList,
  envPart,
  envPort,
  envRequired,
  envString,
  envWhole,
  type Environment,
} from "./env.ts";
export type { ErrorCode } from "./error-codes/index.ts";
export {
  describeError,
  exitCodeOf,
  internalError,
  Interruption,
  invariant,
  isProgramError,
  messageOf,
  SerinError,
  toSerinError,
  transientError,
  usageExitCode,
  userError,
  type ErrorKind,
} from "./errors.ts";
export { giveBackIdleMemory, unhurriedShare } from "./idle-memory.ts";
export { matchAt } from "./match-at.ts";
export { goDurationMs } from "./duration.ts";
export { LinkedList, SharedTimeouts, unlisted, type Linked } from "./shared-timeouts.ts";
export {
  canonicalJson,
  canonicalJsonWithoutNulls,
  definedFields,
  filledTree,
  isTree,
  jsonEqual,
  jsonEqualWithoutNulls,
  jsonText,
  mergeTrees,
  ownField,
  pointerName,
  pointerNames,
  setOwnField,
  stringOf,
  textAt,
  textMapAt,
  treeAt,
  treeOf,
  treesOf,
  valueAt,
  withoutNulls,
  type MergeRules,
  type Tree,
} from "./json.ts";
export {
  addressBytes,
  cidrOf,
  isAddress,
  isAddressOf,
  isInsideAddress,
  isLoopbackAddress,
  isWithin,
  isOwnMachineAddress,
  joinHostPort,
  urlHost,
  type Network,
} from "./ip-address.ts";
export { loadPackage, nodeHttp } from "./load-package.ts";
export {
  createLogger,
  logFormatVariable,
  setLogFormat,
  logLevels,
  silentLogger,
  type LogFields,
  type Logger,
  type LogLevel,
  type LogThreshold,
} from "./log.ts";
export { seededRandom, systemRandom, type Random } from "./random.ts";
export { takeTurn } from "./take-turn.ts";
export { packageRoot, programDirectory, programFile, programVariables } from "./program-files.ts";
export { Readiness } from "./readiness.ts";
export { sourceStack } from "./source-stack.ts";
export {
  counted,
  firstNames,
  nearestName,
  ownCopy,
  shellQuoted,
  shellWord,
  terminalText,
  truncated,
  withArticle,
  withoutControls,
  withoutQuotes,
} from "./message-text.ts";
export { withoutEnd } from "./without-end.ts";
export { bodyFramingHeaders, httpMethods, isDnsLabel, isFramingHeader } from "./protocol-terms.ts";
