/** How long one call into a module may take. A module that takes longer is ended with its thread. */
export const callDeadlineMs = 5000;
/** How long a module may take to start: it is compiled and its plugin is configured meanwhile. */
export const startDeadlineMs = 30_000;
/** What a module may have of memory. Its own maximum holds where it is lower. */
export const maxMemoryBytes = 256 * 1024 * 1024;
/** Upstream's bound of a module's size. */
export const maxModuleBytes = 256 * 1024 * 1024;
/** Threads of modules that one proxy runs at once. */
export const maxVirtualMachines = 32;
/** Calls that wait for one module. Beyond it, requests are treated as if the module had failed. */
export const maxWaitingCalls = 4096;
/** Of a body, as much is held while a module pauses it. */
export const maxHeldBodyBytes = 1024 * 1024;
/** Calls to clusters that one module waits for. */
export const maxOpenCalls = 1024;
/** Of a call for which the module sets no limit. */
export const maxCallMs = 60_000;
export const maxCallAnswerBytes = 1024 * 1024;
/** Shared data and queues of one proxy. */
export const maxSharedBytes = 64 * 1024 * 1024;
export const maxSharedQueues = 1024;
export const maxQueuedItems = 65_536;
export const maxMetrics = 1000;
/** Of a text that a module logs or that names something. */
export const maxTextBytes = 16 * 1024;
/** Pairs of one serialized map. */
export const maxPairs = 1000;
/** No timer is shorter. */
export const minTickMs = 1;
/** Upstream's pause before a failed module is started again. */
export const reloadAfterMs = 1000;
/** Modules that were fetched, kept for other plugins and later configurations. */
export const maxCachedModuleBytes = 256 * 1024 * 1024;
/** As upstream's agent tries. */
export const fetchAttempts = 5;
export const fetchBackoffMs = 500;
/** An image's manifest, or a registry's token. */
export const maxManifestBytes = 1024 * 1024;
