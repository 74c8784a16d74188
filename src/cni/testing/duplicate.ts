import { check, libc } from "../../net/index.ts";

export function dup(fd: number): number {
  return check("dup", libc().fcntl(fd, 1030 /* F_DUPFD_CLOEXEC */, 0));
}
