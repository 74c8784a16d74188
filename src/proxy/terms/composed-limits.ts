/**
 * The limits of a head that the proxy has composed itself. They are larger than those of a received head, because of
 * the headers that the proxy adds.
 */
export const composedLimits = { maxHeadBytes: 1_048_576, maxFields: 250 };
