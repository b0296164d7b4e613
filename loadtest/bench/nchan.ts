import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where Debian and Alpine put it. Undefined when nchan is not installed (Debian: libnginx-mod-nchan). */
export function nchanModule(): string | undefined {
  return ['/usr/lib/nginx/modules', '/usr/lib64/nginx/modules']
    .map((folder) => join(folder, 'ngx_nchan_module.so'))
    .find((file) => existsSync(file))
}

/** Writes a configuration with which nchan does the least: one worker, messages in memory, no authentication. */
export function writeNchanConfig(folder: string, port: number, module: string): string {
  const file = join(folder, 'nchan.conf')
  writeFileSync(
    file,
    `load_module ${module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${folder}/nchan.pid;
error_log ${folder}/nchan.log warn;
events { worker_connections 19500; multi_accept on; }
http {
  access_log off;
  client_body_temp_path ${folder}/nchan-body;
  proxy_temp_path ${folder}/nchan-proxy;
  nchan_shared_memory_size 512m;
  nchan_message_buffer_length 1000;
  nchan_message_timeout 1h;
  keepalive_requests 100000000;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location ~ ^/subscribe/(.+)$ { nchan_subscriber eventsource; nchan_channel_id $1; }
    location ~ ^/publish/(.+)$ { nchan_publisher; nchan_channel_id $1; }
  }
}
`,
  )
  return file
}
