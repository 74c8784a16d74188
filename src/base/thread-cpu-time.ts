/** The CPU time that this thread has used, for limits which a busy machine must not make stricter. */
export function threadCpuTimeMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
