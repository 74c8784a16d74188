/** The path of the release tree in every container. */
export const releaseInContainer = "/opt/serin";
/**
 * The directories of the machine that containers see. They contain the files that programs need, and no data of the
 * machine's users.
 */
export const programDirectories = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu"];
/** The directory of the image's scripts. It is the first directory in a container's PATH. */
export const scriptDirectory = "/opt/image/bin";
