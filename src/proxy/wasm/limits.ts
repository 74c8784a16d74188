/** How long one call into a module may take. A module that takes longer is ended with its thread. */
export const callDeadlineMs = 5000;
/** How long a module may take to start. This includes its compilation and the configuration of its plugin. */
export const startDeadlineMs = 30_000;
/** The maximum memory of a module. A lower maximum that the module declares also applies. */
export const maxMemoryBytes = 256 * 1024 * 1024;
/** Upstream's bound of a module's size. */
export const maxModuleBytes = 256 * 1024 * 1024;
/**
 * The maximum number of module threads that one proxy runs at once. As with the three limits of shared state below, the
 * plugins of one namespace may have half of what those of other namespaces leave.
 */
export const maxVirtualMachines = 64;
/** The maximum number of calls that wait for one module. Further requests are treated as if the module had failed. */
export const maxWaitingCalls = 4096;
/** The maximum part of a body that is held while a module pauses it. */
export const maxHeldBodyBytes = 1024 * 1024;
/** The maximum number of calls to clusters that one module waits for. */
export const maxOpenCalls = 1024;
/** The time limit of a call for which the module sets none. */
export const maxCallMs = 60_000;
export const maxCallAnswerBytes = 1024 * 1024;
/** The maximum size of the shared data and queues of one proxy. */
export const maxSharedBytes = 128 * 1024 * 1024;
export const maxSharedQueues = 2048;
export const maxMetrics = 2000;
/** The maximum number of items in one queue. */
export const maxQueuedItems = 65_536;
/** The maximum length of a text that a module logs or uses as a name. */
export const maxTextBytes = 16 * 1024;
/** The maximum number of pairs in a serialized map. */
export const maxPairs = 1000;
/** The minimum period of a timer. */
export const minTickMs = 1;
/** Upstream's pause before a failed module is started again. */
export const reloadAfterMs = 1000;
/** The maximum total size of fetched modules that are cached for other plugins and later configurations. */
export const maxCachedModuleBytes = 256 * 1024 * 1024;
/** How many versions of the objects that name a cached module are remembered. */
export const maxKnownVersions = 64;
/** The maximum depth of archives around a module. */
export const maxArchiveDepth = 4;
/** The number of attempts of upstream's agent. */
export const fetchAttempts = 5;
export const fetchBackoffMs = 500;
/** The maximum size of an image's manifest, or of a registry's token. */
export const maxManifestBytes = 1024 * 1024;
