/**
 * The versions of the CNI specification that support chains of plugins. The results of all of them have the same form.
 */
export const supportedVersions: readonly string[] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];
export const newestVersion = "1.1.0";
