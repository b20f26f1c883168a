"""One instance as the cloud describes it, 2.5 KB of JSON, and a list of a hundred."""

import json
from typing import Any

RECORD: dict[str, Any] = {
    "id": "9cd0cad06def7a82",
    "name": "training-run-17",
    "clusterId": "cn-hongkong-1",
    "clusterName": "CN-HK-01 (Hong Kong)",
    "status": "running",
    "statusError": {"state": "", "message": ""},
    "imageUrl": "docker.io/pytorch/pytorch:2.4.0-cuda12.4-cudnn9-runtime",
    "imageAuthId": "",
    "command": "python -m training --config /network/configs/run-17.yaml --resume",
    "entrypoint": "",
    "cpuNum": "32",
    "memory": "124",
    "gpuNum": "2",
    "portMappings": [
        {
            "port": port,
            "endpoint": f"https://9cd0cad06def7a82-{port}.cn-hk-1.gpu-instance.novita.ai",
            "type": "http",
        }
        for port in (8888, 6006, 8080, 9000, 9090)
    ],
    "productId": "4090.16c62g",
    "productName": "RTX 4090 24GB",
    "rootfsSize": 100,
    "volumeMounts": [
        {"type": "network", "size": "200", "id": "vol-5f2d1c0b9a8e", "mountPath": "/network"}
    ],
    "envs": [
        {"key": f"VARIABLE_{number}", "value": f"value of variable {number}"} for number in range(6)
    ],
    "tools": [{"name": "Jupyter", "port": "8889", "type": "http"}],
    "kind": "gpu",
    "billingMode": "onDemand",
    "endTime": "-1",
    "spotStatus": "",
    "spotReclaimTime": "0",
    "network": {"id": "", "ip": ""},
    "node": {"maxRootfsSize": 500},
    "freeStorageSize": 60,
    "keepDataDay": 7,
    "jobs": [],
    "createdAt": "1790000000",
    "connectComponentSSH": {
        "sshCommand": "ssh -p 40000 root@proxy.cn-hk-1.gpu-instance.novita.ai",
        "password": "b24c5621fd0c5f82225cefb4",
        "isRunning": True,
    },
    "connectComponentWebTerminal": {
        "address": "https://9cd0cad06def7a82-2223.cn-hk-1.gpu-instance.novita.ai",
        "username": "root",
        "password": "b24c5621fd0c5f82225cefb4",
        "isRunning": True,
    },
    "connectComponentJupyter": {
        "port": 8889,
        "address": "https://9cd0cad06def7a82-8889.cn-hk-1.gpu-instance.novita.ai",
        "isRunning": True,
    },
    "connectComponentLog": {
        "systemLogAddress": "https://9cd0cad06def7a82-log.cn-hk-1.gpu-instance.novita.ai/system",
        "instanceLogAddress": "https://9cd0cad06def7a82-log.cn-hk-1.gpu-instance.novita.ai/app",
        "isRunning": True,
    },
}

ONE = json.dumps(RECORD).encode()
HUNDRED = json.dumps(
    {
        "instances": [{**RECORD, "id": f"{number:016x}"} for number in range(100)],
        "pageSize": 100,
        "pageNum": 1,
        "total": 100,
    }
).encode()
