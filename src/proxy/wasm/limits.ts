/** The maximum time of one call into a module, in milliseconds. If a module takes longer, its thread is ended. */
export const callDeadlineMs = 5000;
/**
 * The maximum time of a module's start, in milliseconds. It includes compiling the module and configuring its plugin.
 */
export const startDeadlineMs = 30_000;
/** The maximum memory of a module. If the module declares a lower maximum, that one applies too. */
export const maxMemoryBytes = 256 * 1024 * 1024;
/** The maximum size of a module's code, as in upstream. */
export const maxModuleBytes = 256 * 1024 * 1024;
/**
 * The maximum number of module threads that one proxy runs at the same time. The plugins of one namespace may use half
 * of what those of other namespaces leave free. The same holds for {@link maxSharedBytes}, {@link maxSharedQueues} and
 * {@link maxMetrics}.
 */
export const maxVirtualMachines = 64;
/** The maximum number of calls that wait for one module. Further requests are treated as if the module had failed. */
export const maxWaitingCalls = 4096;
/** The bytes that a module may hand to its proxy in one call, as texts, values, headers and bodies. */
export const maxHandedBytes = 32 * 1024 * 1024;
/**
 * The number of bytes that each message of a module to its proxy counts as, in addition to its own. A message costs the
 * proxy some microseconds, even if it is empty.
 */
export const messageBytes = 2048;
/** The number of lines that a module may log in one call. Further ones are left out. */
export const maxLogLines = 1000;
/** The maximum number of bytes of a body that are held while a module pauses it. */
export const maxHeldBodyBytes = 1024 * 1024;
/** The maximum number of calls to clusters for whose answers one module waits. */
export const maxOpenCalls = 1024;
/** The time limit of a call to a cluster for which the module sets none, in milliseconds. */
export const maxCallMs = 60_000;
export const maxCallAnswerBytes = 1024 * 1024;
/** The maximum total size of the shared data and the queues of one proxy. */
export const maxSharedBytes = 128 * 1024 * 1024;
export const maxSharedQueues = 2048;
export const maxMetrics = 2000;
export const maxQueuedItems = 65_536;
/** The maximum length of a text that a module logs or uses as a name. */
export const maxTextBytes = 16 * 1024;
export const maxPairs = 1000;
export const minTickMs = 1;
/** The pause before a failed module is started again, as in upstream. */
export const reloadAfterMs = 1000;
/** The maximum total size of the fetched modules that are cached for other plugins and later configurations. */
export const maxCachedModuleBytes = 256 * 1024 * 1024;
/** How many versions of the objects that configure a cached module are remembered. */
export const maxKnownVersions = 64;
export const maxArchiveDepth = 4;
/** How many times a module is fetched before that counts as a failure, as in upstream's agent. */
export const fetchAttempts = 5;
export const fetchBackoffMs = 500;
export const maxManifestBytes = 1024 * 1024;
