import os
def walk(store, generation):
    d=f"{store}/highwater-1/{generation}"; last=[]
    for n in sorted(os.listdir(d)):
        data=open(d+'/'+n,'rb').read(); ps=int.from_bytes(data[16:18],'big'); ps=65536 if ps==1 else ps
        pages=[data[i:i+ps] for i in range(0,len(data),ps)]
        yield int(n,16),ps,pages
