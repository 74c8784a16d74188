/**
 * The limits of a head that the proxy has composed itself. It may be larger than the original, by the headers that the
 * proxy adds.
 */
export const composedLimits = { maxHeadBytes: 1_048_576, maxFields: 250 };
